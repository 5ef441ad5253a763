"""The process of one job on a node of a cluster. Standard library only.

Ray sends this class as it is to nodes that may not have the code yet: where the disk of the project is not
shared, it first clones the code. `node_job.py` is the process that it starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class NodePlace(NamedTuple):
    """Where a job's process finds the project.

    Attributes:
        folder: The project's folder on the machine of the sweep.
        python: The interpreter of the sweep.
        marker: A file in the project with a unique name: a node that sees it shares the disk.
        variables: Environment variables of the process.
    """

    folder: str
    python: str
    marker: str
    variables: dict[str, str]


class GitSource(NamedTuple):
    """Where a node without the project's disk gets code and data.

    Attributes:
        url: Of the git repository.
        git_remote: Its name in the project, such as origin.
        ref: The ref there that holds `commit`.
        commit: What the job runs on: code, configuration, and dvc.lock with the prepared data.
        baseline: The commit that the project has checked out, and that experiments belong to.
        dvc_remote: The name of the DVC remote; None for the default one.
        prefix: The project's folder in the repository; empty if it is the repository.
    """

    url: str
    git_remote: str
    ref: str
    commit: str
    baseline: str
    dvc_remote: str | None
    prefix: str = ""


class NodeProcess:
    """Starts the process of a job, keeps what it prints, and stops it.

    The process ends when its standard input is closed, so that it does not outlive this one.
    """

    def __init__(self, place: tuple[str, str, str, dict[str, str]]) -> None:
        """Take the fields of a `NodePlace`: a plain tuple reaches nodes without the code."""
        self._place = NodePlace(*place)
        self._child: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque()
        self._errors: deque[str] = deque(maxlen=20)
        self._readers: list[threading.Thread] = []

    def shares_disk(self) -> bool:
        """Return whether this node sees the project of the sweep's machine."""
        return Path(self._place.marker).exists()

    def start(self, request: str) -> None:
        """Start the job in the project's own folder.

        Args:
            request: The job, as JSON on one line.
        """
        python = self._place.python if Path(self._place.python).exists() else sys.executable
        self._start(request, Path(self._place.folder), python)

    def start_in_clone(self, request: str, source: tuple[Any, ...]) -> None:
        """Start the job in a clone of the project on this node.

        Args:
            request: The job, as JSON on one line.
            source: The fields of a `GitSource`.

        Raises:
            RuntimeError: Git could not fetch the code; the message is git's.
        """
        self._start(request, create_clone(GitSource(*source)), sys.executable)

    def read_lines(self) -> tuple[list[str], int | None]:
        """Return what the job printed since the last call, and its exit code once it has ended."""
        code = None if self._child is None else self._child.poll()
        if code is not None:
            self._close()
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        return lines, code

    def describe_end(self) -> str:
        """Return the last line of the process's error output."""
        return self._errors[-1] if self._errors else "it printed no error"

    def stop(self, force: bool) -> None:
        """Ask the job to write its checkpoint and end; with `force` kill it."""
        if self._child is not None and self._child.stdin is not None:
            with suppress(OSError, ValueError):
                self._child.stdin.write("kill\n" if force else "stop\n")
                self._child.stdin.flush()

    def _close(self) -> None:
        """Read the last lines, and close the pipes; something that outlived the process may hold them."""
        for reader in self._readers:
            reader.join(10.0)
        if self._child is not None and not any(reader.is_alive() for reader in self._readers):
            for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _start(self, request: str, folder: Path, python: str) -> None:
        path = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")])
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHONPATH")}
        self._child = subprocess.Popen(
            [python, "-u", "-m", "pipeline.sweep.workers.node_job"],
            cwd=folder,
            env={**inherited, "PATH": path, **self._place.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            preexec_fn=_reset_signals,
        )
        for stream, kept in ((self._child.stdout, self._lines), (self._child.stderr, self._errors)):
            self._readers.append(threading.Thread(target=_keep_lines, args=(stream, kept), daemon=True))
            self._readers[-1].start()
        with suppress(OSError):
            assert self._child.stdin is not None
            self._child.stdin.write(request + "\n")
            self._child.stdin.flush()


def _keep_lines(stream: Any, kept: deque[str]) -> None:
    for line in stream:
        if line.strip():
            kept.append(line.rstrip("\n"))


def _reset_signals() -> None:
    """Let SIGINT, which Ray blocks, stop the processes, and signals of Slurm not kill them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def create_clone(source: GitSource) -> Path:
    """Clone the project into a folder of this node; a clone that is there already is used again.

    Its files are those of `commit`, its HEAD is `baseline`: so it looks to DVC as the project does on the
    machine of the sweep, with changes that are not committed. FINETRACK_NODE_FOLDER names the folder of all
    clones; ~/.cache/finetrack without it.

    Raises:
        RuntimeError: Git could not fetch the code; the message is git's.
    """
    home = os.environ.get("FINETRACK_NODE_FOLDER") or Path.home() / ".cache/finetrack"
    folder = Path(home, hashlib.sha256(source.url.encode()).hexdigest()[:12])
    clone = folder / source.commit[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / f"{clone.name}.lock"):
        if not (clone / ".git/finetrack-complete").exists():
            _fill_clone(source, clone, cache=folder / "dvc-cache")
            (clone / ".git/finetrack-complete").touch()
    return clone / source.prefix


def _fill_clone(source: GitSource, clone: Path, *, cache: Path) -> None:
    clone.mkdir(exist_ok=True)
    _run_git(clone, "init", "-q")
    with suppress(RuntimeError):
        _run_git(clone, "remote", "add", source.git_remote, source.url)
    _run_git(clone, "fetch", "-q", source.git_remote, f"+{source.ref}:{source.ref}")
    _run_git(clone, "checkout", "-q", "--force", "--detach", source.commit)
    _run_git(clone, "reset", "-q", "--soft", source.baseline)
    local = clone / source.prefix / ".dvc/config.local"
    if not local.exists():
        remote = f"[core]\n    remote = {source.dvc_remote}\n" if source.dvc_remote else ""
        quote = "'''" if '"' in str(cache) else '"'  # else a comma or # ends the value
        local.write_text(f"{remote}[cache]\n    dir = {quote}{cache}{quote}\n", encoding="utf-8")


def _run_git(folder: Path, *words: str) -> None:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()) or f"git {words[0]} failed")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
