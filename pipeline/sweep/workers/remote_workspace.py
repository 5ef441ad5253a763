"""Run jobs on machines that do not see the project's disk: code by git, data by DVC remotes.

On the machine of the sweep, `RemotePublisher` computes the prepared images once, and pushes them and the
code. On the node, `run_in_clone` fetches them, and pushes the experiment. Each machine uses its own
credentials; none are sent, except one that the address of git's remote holds.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from pipeline.core.errors import UserError
from pipeline.storage.dvc_repository import RemoteError, push_run_cache
from pipeline.storage.git_commands import GitError, run_git
from pipeline.storage.scratch_folder import ROOT_VARIABLE, SCRATCH_FOLDER
from pipeline.sweep.job import JobResult, SweepContext, SweepJob
from pipeline.sweep.workers.job_output import JobOutput
from pipeline.sweep.workers.job_request import JobRequest
from pipeline.sweep.workers.node_process import GitSource
from pipeline.sweep.workspaces.stale_results import list_stages_up_to
from pipeline.sweep.workspaces.sweep_commit import REFERENCES
from pipeline.sweep.workspaces.workspace import Workspace, hold_workspace, prepare_workspace

PUBLISHER_SLOT: Final = "publisher"
"""The workspace in which the shared stages run on the sweep's machine."""
_LOCK_ATTEMPTS: Final = 20
"""Another command of DVC holds its lock for some seconds."""


class RemotePublisher:
    """Gives nodes without the project's disk what a job needs, and takes experiments from them."""

    def __init__(
        self, context: SweepContext, *, git_remote: str, dvc_remote: str | None, tracking_uri: str
    ) -> None:
        """Check that the nodes can reach everything.

        Args:
            context: Of the sweep.
            git_remote: The name of a git remote that all machines can reach.
            dvc_remote: The name of such a DVC remote; None for the default one.
            tracking_uri: Of MLflow.

        Raises:
            UserError: A remote does not exist, or MLflow's store is a file of this machine.
        """
        self._context, self._git_remote, self._dvc_remote = context, git_remote, dvc_remote
        self._lock = threading.Lock()
        self._sources: dict[str, GitSource] = {}
        require_server(tracking_uri)
        require_committed_remote(context, dvc_remote)
        self._url = find_remote_url(context.project, git_remote)

    def publish(self, job: SweepJob) -> GitSource:
        """Push the code and the prepared images of a job; once for all jobs that share them.

        Raises:
            UserError: The stages before finetune failed, or a remote refused the push.
        """
        key = hashlib.sha256((job.shared or "\n".join(job.overrides)).encode()).hexdigest()[:12]
        with self._lock:
            if key not in self._sources:
                self._sources[key] = self._publish(job, key)
            return self._sources[key]

    def collect(self, job: SweepJob) -> None:
        """Fetch the experiment of a job, with its weights, into the project.

        Raises:
            UserError: A remote cannot be reached.
        """
        remote = ["--remote", self._dvc_remote] if self._dvc_remote else []
        words = ["exp", "pull", "--force", *remote, self._git_remote, job.experiment]
        with self._lock:
            run_dvc(self._context.project, words)

    def _publish(self, job: SweepJob, key: str) -> GitSource:
        context, ref = self._context, f"{REFERENCES}/{self._context.name}-{key}"
        with hold_workspace(context, PUBLISHER_SLOT) as workspace:
            prepare_workspace(workspace, job, context)
            commit = self._run_shared_stages(workspace, job)
            stages = list_shared_stages(workspace.folder)
            remote = ["--remote", self._dvc_remote] if self._dvc_remote else []
            run_dvc(workspace.folder, ["push", *remote, *stages], self._variables)
            run_git(workspace.clone, "push", "--quiet", "--force", self._url, f"{commit}:{ref}")
            prefix = run_git(workspace.folder, "rev-parse", "--show-prefix").rstrip("/")
        baseline = context.baseline or context.commit
        return GitSource(self._url, self._git_remote, ref, commit, baseline, self._dvc_remote, prefix)

    def _run_shared_stages(self, workspace: Workspace, job: SweepJob) -> str:
        """Run the stages before finetune; return a commit that records their results."""
        name = f"{job.experiment}-data"
        overrides = [word for override in job.overrides for word in ("--set-param", override)]
        stages = list_shared_stages(workspace.folder)
        run_dvc(workspace.folder, ["exp", "run", "--name", name, *overrides, *stages], self._variables)
        found = run_git(workspace.clone, "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}")
        return found.split()[0] if found else self._context.commit  # nothing changed: it has the results

    @property
    def _variables(self) -> dict[str, str]:
        return {**self._context.environment, ROOT_VARIABLE: str(self._context.project)}


def run_in_clone(request: JobRequest, run: Callable[[JobRequest], JobResult]) -> JobResult:
    """Run a job in the clone of the project in the current folder, and push its experiment.

    Args:
        request: With a source.
        run: Runs a job whose project is on this machine.

    Raises:
        UserError: A remote cannot be reached.
    """
    source, clone = request.source, Path.cwd()
    if source is None:
        raise ValueError("the job's project is on this machine")
    remote = ["--remote", source.dvc_remote] if source.dvc_remote else []
    with _hold_lock(clone):
        run_dvc(clone, ["fetch", "--run-cache", *remote, *list_shared_stages(clone)])
    folder = clone / SCRATCH_FOLDER / "sweeps" / request.context.name
    context = request.context._replace(
        project=clone, folder=folder, commit=source.commit, baseline=source.baseline, pulls=True
    )
    result = run(JobRequest(request.job, context, request.attempt, source))
    if result.status in {"trained", "restored"}:
        words = ["exp", "push", "--force", *remote, source.git_remote, request.job.experiment]
        with _hold_lock(clone):
            run_dvc(clone, words)
            _push_runs(clone, source.dvc_remote)
    return result


def _push_runs(clone: Path, remote: str | None) -> None:
    """Let other machines restore the training; a remote that cannot hold it, as by HTTP, costs a training."""
    try:
        push_run_cache(clone, remote)
    except RemoteError as error:
        print(f"the training cannot be restored on other machines: {error}", file=sys.stderr)  # noqa: T201


def list_shared_stages(folder: Path) -> list[str]:
    """List the stages whose results jobs share: those that finetune needs, without compose."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text("utf-8"))["stages"]
    needed = list_stages_up_to("finetune", stages) - {"finetune", "compose"}
    return [name for name in stages if name in needed]


def require_server(tracking_uri: str) -> None:
    """Require an MLflow server: a file of one machine cannot be reached by another.

    Raises:
        UserError: It is a file.
    """
    if tracking_uri.startswith("sqlite:"):
        raise UserError(
            f"tracking.uri={tracking_uri} is a file, and the jobs run on machines that do not share this "
            "disk: start an MLflow server that they can reach, and set tracking=server tracking.uri=http://..."
        )


def require_committed_remote(context: SweepContext, name: str | None) -> None:
    """Require a DVC remote in .dvc/config as the sweep's commit has it: the nodes get it by git.

    Raises:
        UserError: There is none of this name, or no default one.
    """
    import configparser

    prefix = run_git(context.project, "rev-parse", "--show-prefix")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(run_git(context.project, "show", f"{context.commit}:{prefix}.dvc/config"))
    name = name or parser.get("core", "remote", fallback="").strip("\"'") or None
    sections = {section.strip("'").replace('"', "") for section in parser.sections()}
    if name is None or f"remote {name}" not in sections:
        what = "no default remote" if name is None else f"no remote {name}"
        raise UserError(
            f"the jobs run on machines that do not share this disk, and .dvc/config has {what}: run "
            "`dvc remote add --default NAME URL`, commit .dvc/config, and keep credentials out of it"
        )


def find_remote_url(project: Path, name: str) -> str:
    """Return the URL of a git remote; a relative path is made absolute.

    Raises:
        UserError: There is no remote of this name.
    """
    try:
        url = run_git(project, "remote", "get-url", name)
    except GitError:
        raise UserError(
            f"the jobs run on machines that do not share this disk, and git has no remote {name}: run "
            f"`git remote add {name} URL`, or name another one with sweep.git_remote=NAME"
        ) from None
    top = Path(run_git(project, "rev-parse", "--show-toplevel"))
    return str((top / url).resolve()) if (top / url).exists() else url


def run_dvc(folder: Path, words: Sequence[str], variables: dict[str, str] | None = None) -> None:
    """Run a command of DVC; while another one holds DVC's lock, try again.

    Raises:
        UserError: It failed; the sentence has DVC's reason.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, **(variables or {})}
    for _ in range(_LOCK_ATTEMPTS):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            check=False,
        )
        if "Unable to acquire lock" not in done.stdout:
            break
        time.sleep(1.0)
    if done.returncode:
        output = JobOutput()
        for line in done.stdout.splitlines():
            output.add_line(line)
        reason = output.explain_failure(done.returncode)
        raise UserError(f"`dvc {' '.join(words[:2])}` failed in {folder}: {reason}")


@contextmanager
def _hold_lock(clone: Path) -> Iterator[None]:
    """Let one job of this node at a time use DVC in the clone."""
    import fcntl

    path = clone / SCRATCH_FOLDER / "dvc.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
