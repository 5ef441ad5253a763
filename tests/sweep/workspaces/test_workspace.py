"""Workspaces of a sweep: clones in which one job after the other runs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from pipeline.core.errors import UserError
from pipeline.storage.git_commands import GitError, run_git
from pipeline.sweep.job import SweepContext, SweepJob
from pipeline.sweep.workspaces import workspace as workspaces
from pipeline.sweep.workspaces.leftover_processes import end_leftover_processes
from pipeline.sweep.workspaces.sweep_commit import REFERENCES, create_sweep_commit, delete_sweep_commit
from pipeline.sweep.workspaces.workspace import (
    collect_experiment,
    delete_workspaces,
    hold_workspace,
    prepare_workspace,
)

JOB = SweepJob(0, 0, 0, (), "", "name")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository whose project has one changed, one staged and one ignored file."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
    )
    (folder / ".gitignore").write_text("/.finetrack/\n/data/\n/.dvc/tmp/\n/.dvc/config.local\n")
    (folder / "file.txt").write_text("committed")
    run_git(folder, "init", "-q")
    run_git(folder, "config", "user.name", "somebody")
    run_git(folder, "config", "user.email", "somebody@example.org")
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-qm", "start")
    (folder / "file.txt").write_text("changed")
    (folder / "new.txt").write_text("staged")
    run_git(folder, "add", "new.txt")
    return folder


@pytest.fixture
def context(project):
    """A sweep of the project."""
    commit = create_sweep_commit(project, "s")
    folder = project / ".finetrack/sweeps/s"
    return SweepContext("s", project, folder, commit.commit, {}, (), commit.baseline)


def test_commit_of_a_sweep_holds_changes_and_leaves_the_project_as_it_is(project):
    before = run_git(project, "status", "--porcelain")
    made = create_sweep_commit(project, "s")
    assert run_git(project, "show", f"{made.commit}:file.txt") == "changed"
    assert run_git(project, "show", f"{made.commit}:new.txt") == "staged"
    assert run_git(project, "rev-parse", f"{made.commit}^") == made.baseline
    assert run_git(project, "status", "--porcelain") == before
    assert create_sweep_commit(project, "s") == made  # so that the same command goes on
    assert run_git(project, "rev-parse", f"{REFERENCES}/s") == made.commit
    delete_sweep_commit(project, "s")
    assert not run_git(project, "for-each-ref", REFERENCES)


def test_commit_of_an_unchanged_project_is_the_one_checked_out(project):
    run_git(project, "commit", "-qam", "all")
    made = create_sweep_commit(project, "s")
    assert made.commit == made.baseline == run_git(project, "rev-parse", "HEAD")


def test_a_workspace_looks_to_git_as_the_project_does(context):
    with hold_workspace(context, "0") as workspace:
        prepare_workspace(workspace, JOB, context)
        assert workspace.folder == context.folder / "workspaces/0"
        assert run_git(workspace.clone, "rev-parse", "HEAD") == context.baseline
        assert (workspace.folder / "file.txt").read_text() == "changed"
        changed = run_git(workspace.clone, "status", "--porcelain").splitlines()
        assert [line.split()[-1] for line in changed] == ["file.txt", "new.txt"]
        assert run_git(workspace.clone, "config", "user.name") == "somebody"


@pytest.mark.parametrize("local", ["", "[cache]\n    dir = ../shared\n    type = symlink\n"])
def test_a_workspace_has_the_cache_and_the_remotes_of_the_project(project, context, local):
    from dvc.config import Config

    (project / ".dvc/config.local").write_text(local)
    with hold_workspace(context, "0") as workspace:
        config = Config(str(workspace.folder / ".dvc"))
        assert config["remote"]["store"]["url"] == str(project.parent / "store")
        expected = project / "shared" if local else project / ".dvc/cache"
        assert config["cache"]["dir"] == str(expected)
        assert config["cache"].get("type") == (["symlink"] if local else None)


@pytest.mark.fault(14, "a path that is not ASCII, or special in DVC's settings")
@pytest.mark.parametrize("name", ["büro", "a, b #1", "o'brien", 'say "a"'])
def test_a_workspace_has_settings_whose_paths_are_not_ascii(project, context, name):
    from configobj import ConfigObj
    from dvc.config import Config

    address = f"/mnt/{name}/store"
    values = {"core": {"site_cache_dir": f"/tmp/{name}"}, 'remote "store"': {"url": address}}
    local = ConfigObj(values, encoding="utf-8")
    local.filename = str(project / ".dvc/config.local")
    local.write()
    with hold_workspace(context, "0") as workspace:
        config = Config(str(workspace.folder / ".dvc"))
        assert config["remote"]["store"]["url"] == address
        assert config["core"]["site_cache_dir"] == f"/tmp/{name}"
        assert config["cache"]["dir"] == str(project / ".dvc/cache")


@pytest.mark.fault(14, "a project is moved while a sweep of it is stopped")
def test_a_workspace_of_a_project_that_was_moved_is_made_anew(project, context):
    with hold_workspace(context, "0") as workspace:
        prepare_workspace(workspace, JOB, context)
    moved = project.rename(project.with_name("moved"))
    named = context._replace(project=moved, folder=moved / ".finetrack/sweeps/s")
    with hold_workspace(named, "0") as workspace:
        prepare_workspace(workspace, JOB, named)
        assert (workspace.folder / "file.txt").read_text() == "changed"
        assert run_git(workspace.clone, "rev-parse", "HEAD") == context.baseline


@pytest.mark.fault(14, "a path that is not ASCII, or special in a URI")
def test_a_project_of_any_path_has_workspaces(project, context):
    moved = project.rename(project.with_name("prü fung?#%1"))
    named = context._replace(project=moved, folder=moved / ".finetrack/sweeps/s")
    with hold_workspace(named, "0") as workspace:
        prepare_workspace(workspace, JOB, named)
        assert (workspace.folder / "file.txt").read_text() == "changed"
        assert (workspace.folder / ".dvc/config.local").read_bytes().isascii()


@pytest.mark.fault(14, "SIGKILL of git or DVC in a workspace")
def test_what_a_killed_job_left_is_removed_and_prepared_data_stay(context):
    with hold_workspace(context, "0") as workspace:
        clone = workspace.clone
        (clone / "file.txt").write_text("of a job")
        (clone / "stray.txt").write_text("of a job")
        (clone / "data/prepared").mkdir(parents=True)
        (clone / "data/prepared/image").write_text("prepared")
        (clone / ".dvc/tmp/exps").mkdir(parents=True)
        for lock in (".git/index.lock", ".git/refs/heads/x.lock", ".dvc/tmp/rwlock", ".dvc/tmp/lock"):
            (clone / lock).write_text("left")
        run_git(clone, "update-ref", "refs/exps/ab/cdef/old", "HEAD")
        run_git(clone, "symbolic-ref", "refs/exps/exec/EXEC_BRANCH", "refs/exps/ab/cdef/gone")
        prepare_workspace(workspace, JOB, context)
        assert (clone / "file.txt").read_text() == "changed"
        assert not (clone / "stray.txt").exists()
        assert (clone / "data/prepared/image").exists()
        assert not [*clone.rglob("*.lock")]
        assert not (clone / ".dvc/tmp/rwlock").exists()
        assert not run_git(clone, "for-each-ref", "refs/exps")


@pytest.mark.fault(14, "SIGKILL while a workspace is made")
@pytest.mark.parametrize("damage", ["unfinished", "without HEAD", "no repository"])
def test_a_half_made_workspace_is_made_again(context, damage):
    place = context.folder / "workspaces"
    if damage == "unfinished":
        (place / ".0.new/.git").mkdir(parents=True)
    elif damage == "no repository":
        (place / "0").mkdir(parents=True)
    else:
        with hold_workspace(context, "0") as workspace:
            (workspace.clone / ".git/HEAD").unlink()
    with hold_workspace(context, "0") as workspace:
        prepare_workspace(workspace, JOB, context)
        assert (workspace.folder / "file.txt").read_text() == "changed"
    assert [path.name for path in place.iterdir() if path.is_dir()] == ["0"]


def test_a_workspace_of_a_project_in_a_larger_repository_is_its_folder_there(project, context):
    part = project / "part"
    (part / ".dvc").mkdir(parents=True)
    (part / ".dvc/config").write_text("")
    run_git(project, "add", "-A")
    commit = create_sweep_commit(part, "s")
    inner = context._replace(project=part, commit=commit.commit, baseline=commit.baseline)
    with hold_workspace(inner, "0") as workspace:
        assert workspace.folder == workspace.clone / "part"
        assert (workspace.folder / ".dvc/config.local").exists()


@pytest.mark.fault(13, "two jobs in one workspace")
def test_a_workspace_belongs_to_one_process(context, monkeypatch):
    monkeypatch.setattr(workspaces, "LOCK_SECONDS", 0.3)
    with hold_workspace(context, "0"):
        with pytest.raises(UserError, match="another process is at work in"), hold_workspace(context, "0"):
            pytest.fail("it is held")
        with hold_workspace(context, "1") as other:
            assert other.clone.name == "1"
        delete_workspaces(context)
        assert [path.name for path in (context.folder / "workspaces").iterdir() if path.is_dir()] == ["0"]
    other_sweep = context._replace(folder=context.folder.with_name("other"))
    with hold_workspace(other_sweep, "0"):
        pass
    delete_workspaces(context)
    assert not [*(context.folder / "workspaces").iterdir()]
    assert (other_sweep.folder / "workspaces/0").exists()


def test_an_experiment_is_fetched_and_replaces_one_of_the_same_name(project, context):
    reference = f"refs/exps/{context.baseline[:2]}/{context.baseline[2:]}/name"
    run_git(project, "update-ref", reference, context.baseline)
    with hold_workspace(context, "0") as workspace:
        prepare_workspace(workspace, JOB, context)
        assert collect_experiment(workspace, "name", project) is None
        made = run_git(workspace.clone, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "experiment")
        run_git(workspace.clone, "update-ref", reference, made)
        assert collect_experiment(workspace, "name", project) == made
        assert run_git(project, "rev-parse", reference) == made


@pytest.mark.fault(14, "processes of a job outlive a killed sweep")
def test_processes_that_a_killed_sweep_left_in_a_workspace_are_ended(tmp_path):
    inside, outside = tmp_path / "inside/part", tmp_path / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    command = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(60)"]
    rooted = {"FINETRACK_ROOT": "x"}
    found = [
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
        for folder, environment in ((inside, rooted), (inside, {}), (outside, rooted))
    ]
    try:
        for process in found:
            process.stdout.readline()
        start = time.monotonic()
        assert end_leftover_processes(tmp_path / "inside") == 1
        assert time.monotonic() - start < 5
        assert [process.poll() for process in found] == [-9, None, None]
    finally:
        for process in found:
            process.kill()
            process.communicate()


def test_an_error_of_git_is_one_sentence(project, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(project / "of a hook"))
    with pytest.raises(GitError, match=r"^`git rev-parse` failed in .*: fatal: Needed a single revision$"):
        run_git(project, "rev-parse", "--verify", "absent")
