"""Data, weights and experiments reach a colleague's clone by a folder; what is damaged does not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dvc.repo import lock_repo

from pipeline.core.errors import UserError
from pipeline.remotes.push import push_iterations
from pipeline.remotes.sync_request import SyncRequest
from pipeline.storage.dvc_repository import open_repository
from tests.disks import mount_small_disk
from tests.remotes.conftest import PREPARED, WEIGHTS, flip_byte, hash_md5

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of DVC's pygtrie
ROOT = Path(__file__).parents[2]
IMAGE = hash_md5(PREPARED["images/a.jpg"])


def test_a_clone_gets_data_weights_and_experiments_from_the_remotes_alone(team):
    commit = team.add_experiment("brave", b"other weights")
    done = team.push()
    assert any(line.startswith("6 files") for line in done), done  # equal labels are one object
    assert team.push()[0].startswith("0 files")
    colleague = team.clone()
    colleague.pull()
    assert colleague.read_prepared() == PREPARED
    assert (colleague.folder / "models/best.pt").read_bytes() == WEIGHTS
    assert colleague.cache(hash_md5(b"other weights")).read_bytes() == b"other weights"
    assert commit in colleague.git("for-each-ref", "refs/exps")
    assert colleague.git("status", "--porcelain") == ""


def test_what_is_left_to_do_is_said_until_it_is_done(team):
    (team.folder / "dvc.yaml").write_text((team.folder / "dvc.yaml").read_text() + "# changed\n")
    left = [line for line in team.push() if line.startswith("left to do")]
    assert len(left) == 1
    assert "dvc.yaml" in left[0]
    team.git("commit", "-qam", "second")
    (left,) = (line for line in team.push() if line.startswith("left to do"))
    assert "git push origin main" in left
    assert not any(line.startswith("left to do") for line in team.push(branch=True))
    assert team.git("ls-remote", "origin", "refs/heads/main").split()[0] == team.git("rev-parse", "HEAD")


@pytest.mark.fault(14, "a sweep makes, or replaces, experiments while a push uploads data")
def test_what_is_made_during_the_upload_is_not_published(team):
    first = team.add_experiment("brave", b"other weights")
    head = team.git("rev-parse", "HEAD")
    team.monkeypatch.chdir(team.folder)
    for line in push_iterations(team.folder, SyncRequest(branch=True)):
        if "uploaded" in line:
            team.add_experiment("late", b"late weights")
            team.add_experiment("brave", b"still other weights")
            commit_weights(team, b"late weights of the branch")
    refs = dict(reversed(line.split("\t")) for line in team.git("ls-remote", "origin").splitlines())
    assert refs["refs/heads/main"] == head
    assert [commit for ref, commit in refs.items() if "exps" in ref] == [first]
    team.push(branch=True, force=True)
    for weights in (b"late weights", b"still other weights", b"late weights of the branch"):
        assert team.store(hash_md5(weights)).exists()


def commit_weights(team, weights):
    stages = yaml.safe_load((team.folder / "dvc.lock").read_text())["stages"]
    team.write_lock(stages["prepare"]["outs"][0]["md5"], team.add_object(weights))
    team.git("commit", "-qam", f"{weights}")


@pytest.mark.fault(14, "a push of several commits, each with data of its own")
def test_the_data_of_each_commit_that_a_branch_publishes_is_uploaded(team):
    team.push(branch=True)
    for weights in (b"second", b"third", b"fourth"):
        commit_weights(team, weights)
    (left,) = (line for line in team.push() if line.startswith("left to do"))
    assert "2 earlier commits" in left
    assert "git push" not in left
    assert not team.store(hash_md5(b"second")).exists()
    team.push(branch=True)
    assert all(team.store(hash_md5(weights)).exists() for weights in (b"second", b"third", b"fourth"))

    commit_weights(team, b"fifth")
    team.cache(hash_md5(b"fifth")).unlink()
    commit_weights(team, b"sixth")
    lost = [line for line in team.push(branch=True) if "neither in DVC's cache" in line]
    assert len(lost) == 1
    assert "of commit " in lost[0]


def test_a_remote_that_git_does_not_have_is_left_to_do(team):
    text = (team.folder / ".dvc/config").read_text()
    (team.folder / ".dvc/config").write_text(text.replace("store", "other"))
    (team.folder / ".dvc/config.local").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {team.folder.parent / 'store'}\n"
    )
    team.git("commit", "-qam", "another remote")
    assert any("not in the committed .dvc/config" in line for line in team.push())


def test_an_experiment_with_other_results_is_replaced_only_by_force(team):
    team.add_experiment("brave", b"other weights")
    team.push()
    team.add_experiment("brave", b"still other weights")
    assert any("--force" in line for line in team.push())
    team.push(force=True)
    theirs = team.git("ls-remote", "origin", "refs/exps/*/*/brave").split()[0]
    assert theirs == team.git("for-each-ref", "--format=%(objectname)", "refs/exps")


def test_without_a_git_remote_data_is_pushed_and_said_what_is_missing(team):
    team.git("remote", "remove", "origin")
    assert any("git has no remote" in line for line in team.push())
    assert team.store(IMAGE).exists()


@pytest.mark.parametrize("has_other", [True, False])
def test_a_branch_for_a_git_remote_that_is_not_there_is_refused(team, has_other):
    if not has_other:
        team.git("remote", "remove", "origin")
    with pytest.raises(UserError, match="origin" if has_other else "none"):
        team.push(git_remote="orign", branch=True)
    assert not team.store(IMAGE).exists()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("", "there is no remote for data and weights"),
        ("['remote \"store\"']\n    url = /nowhere\n", "dvc remote default store"),
    ],
)
def test_without_a_remote_the_sentence_says_how_to_add_one(team, config, sentence):
    (team.folder / ".dvc/config").write_text(config)
    with pytest.raises(UserError, match=sentence) as error:
        team.push()
    assert "dvc remote add --default store s3://" in str(error.value)


@pytest.mark.fault(15, "a DVC remote on a disk that is not mounted")
def test_a_folder_whose_disk_is_not_mounted_is_refused(team):
    config = team.folder / ".dvc/config"
    config.write_text(config.read_text().replace(str(team.folder.parent / "store"), "/mnt/absent-disk/store"))
    for copy in (team.push, team.pull):
        with pytest.raises(UserError, match="does not exist: mount its disk"):
            copy()


@pytest.mark.fault(11, "an object of DVC's cache is damaged before a push")
@pytest.mark.parametrize("kept", ["workspace", "nowhere"])
def test_a_damaged_object_is_not_pushed(team, kept):
    flip_byte(team.cache(IMAGE))
    if kept == "workspace":
        team.push()
        assert team.store(IMAGE).read_bytes() == team.cache(IMAGE).read_bytes() == b"image a"
        return
    (team.folder / "data/prepared/images/a.jpg").unlink()
    with pytest.raises(UserError, match=r"damaged.*data/prepared/images/a.jpg"):
        team.push()
    assert not team.store(IMAGE).exists()
    assert not team.cache(IMAGE).exists()
    assert (team.folder / ".finetrack/damaged" / IMAGE).read_bytes() != b"image a"


@pytest.mark.fault(11, "weights of an experiment are damaged in DVC's cache before a push")
def test_damaged_weights_of_an_experiment_are_named(team):
    team.add_experiment("brave", b"other weights")
    flip_byte(team.cache(hash_md5(b"other weights")))
    with pytest.raises(UserError, match=r"models/best.pt of experiment brave"):
        team.push()
    assert team.git("ls-remote", "origin", "refs/exps/*") == ""


@pytest.mark.fault(11, "an object of a DVC remote is damaged")
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_what_is_damaged_on_the_remote_is_named_and_not_used(team, mode):
    """Some disks have no read-only files: DVC would verify and delete it, and find nothing."""
    team.push()
    flip_byte(team.store(IMAGE))
    team.store(IMAGE).chmod(mode)
    colleague = team.clone()
    with pytest.raises(UserError, match=r"damaged on the remote store: data/prepared/images/a.jpg") as error:
        colleague.pull()
    assert str(team.store(IMAGE)) in str(error.value)
    assert not colleague.cache(IMAGE).exists()
    assert not (colleague.folder / "data/prepared").exists()
    assert (colleague.folder / "models/best.pt").read_bytes() == WEIGHTS
    team.store(IMAGE).unlink()
    team.push()
    colleague.pull()
    assert colleague.read_prepared() == PREPARED


@pytest.mark.fault(11, "the list of the files of a folder is damaged on a DVC remote")
def test_a_damaged_list_of_files_is_named(team):
    team.push()
    oid = team.add_folder(PREPARED)
    flip_byte(team.store(oid))
    with pytest.raises(UserError, match=r"damaged on the remote store: data/prepared"):
        team.clone().pull()


@pytest.mark.fault(11, "an object of DVC's cache is damaged before its file is written again")
@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_what_is_damaged_in_the_cache_is_fetched_again_before_it_is_used(team, link):
    (team.folder / ".dvc/config.local").write_text(f"[cache]\n    type = {link}\n")
    team.push()
    flip_byte(team.cache(IMAGE))
    (team.folder / "data/prepared/images/a.jpg").unlink()
    team.pull()
    assert team.read_prepared() == PREPARED
    assert team.cache(IMAGE).read_bytes() == b"image a"


@pytest.mark.fault(11, "a damaged file that the workspace and DVC's cache share by a link")
@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_a_damaged_file_that_the_workspace_shares_is_replaced_when_all_is_verified(team, link):
    (team.folder / ".dvc/config.local").write_text(f"[cache]\n    type = {link}\n")
    team.push()
    colleague = team.clone()
    (colleague.folder / ".dvc/config.local").write_text(f"[cache]\n    type = {link}\n")
    colleague.pull()
    flip_byte(colleague.cache(IMAGE))
    colleague.pull(verify=True)
    assert colleague.read_prepared() == PREPARED


@pytest.mark.fault(11, "a damaged object of DVC's cache that no remote has")
def test_what_is_damaged_and_not_on_the_remote_is_an_error(team):
    team.push()
    team.store(IMAGE).unlink()
    flip_byte(team.cache(IMAGE))
    (team.folder / "data/prepared/images/a.jpg").unlink()
    with pytest.raises(UserError, match=r"damaged in DVC's cache, and not on the remote.*images/a.jpg"):
        team.pull()


def test_what_the_remote_lacks_is_named(team):
    team.push()
    team.store(IMAGE).unlink()
    with pytest.raises(UserError, match=r"remote store does not have data/prepared/images/a.jpg: push again"):
        team.clone().pull()


def test_files_that_dvc_does_not_have_are_kept(team):
    team.push()
    (team.folder / "data/prepared/images/a.jpg").write_bytes(b"edited by hand")
    with pytest.raises(UserError, match="cannot be written into the workspace"):
        team.pull()
    assert (team.folder / "data/prepared/images/a.jpg").read_bytes() == b"edited by hand"


@pytest.mark.fault(13, "another command of DVC is at work during a pull")
def test_a_pull_beside_another_command_of_dvc_is_one_sentence(team):
    team.push()
    shutil.rmtree(team.folder / "data/prepared")
    team.monkeypatch.chdir(team.folder)
    busy = pytest.raises(UserError, match="another command of DVC is at work: wait for it")
    with open_repository(team.folder) as repo, lock_repo(repo), busy:
        team.pull()
    team.pull()
    assert team.read_prepared() == PREPARED


@pytest.mark.slow
@pytest.mark.fault(13, "SIGKILL in the middle of a push or a pull")
def test_a_push_and_a_pull_that_are_killed_go_on(team):
    files = {f"{number:04d}.txt": f"{number}".encode() * 40 for number in range(600)}
    team.write_lock(team.add_folder(files), team.add_object(WEIGHTS))
    team.git("commit", "-qam", "many files")
    kill_when_copied(team.folder, "push", team.folder.parent / "store")
    assert not team.store(team.add_folder(files)).exists()  # the list comes last
    team.push(branch=True)
    colleague = team.clone()
    kill_when_copied(colleague.folder, "pull", colleague.folder / ".dvc/cache")
    colleague.pull()
    assert colleague.read_prepared() == files


def kill_when_copied(folder, command: str, target, most: int = 100) -> None:
    """Start a push or a pull, and kill it when some objects have arrived."""
    code = (
        f"from pathlib import Path\nfrom pipeline.remotes.{command} import {command}_iterations as copy\n"
        f"from pipeline.remotes.sync_request import SyncRequest\nlist(copy(Path.cwd(), SyncRequest()))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        while process.poll() is None and sum(1 for _ in target.rglob("*")) < most:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.fault(13, "the disk of DVC's cache is full during a pull")
def test_a_full_disk_of_the_cache_is_not_said_of_the_remote(team):
    files = {f"{number}.bin": bytes([number]) * 100_000 for number in range(20)}
    team.write_lock(team.add_folder(files), team.add_object(WEIGHTS))
    team.git("commit", "-qam", "large files")
    team.push(branch=True)
    colleague = team.clone()
    disk = team.folder.parent / "cache"
    (colleague.folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {disk}\n")
    with mount_small_disk(disk, kilobytes=1000):
        with pytest.raises(UserError, match=rf"the disk is full: {disk}"):
            colleague.pull()
        assert not list(disk.rglob("*.tmp"))
    disk.rmdir()
    place = colleague.folder / "data"
    full = pytest.raises(UserError, match=rf"the disk is full: {place}")
    with mount_small_disk(place, kilobytes=1000), full:
        colleague.pull()
    colleague.pull()
    assert colleague.read_prepared() == files


@pytest.mark.fault(13, "the disk of a DVC remote is full")
def test_a_full_disk_of_the_remote_leaves_no_part_of_a_file(team):
    files = {f"{number}.bin": bytes([number]) * 100_000 for number in range(20)}
    team.write_lock(team.add_folder(files), team.add_object(WEIGHTS))
    with mount_small_disk(team.folder.parent / "store", kilobytes=1000) as disk:
        with pytest.raises(UserError, match=r"remote store .*has no space left"):
            team.push()
        assert not list(disk.rglob("*.tmp"))
        written = [path for path in disk.rglob("*") if path.is_file()]
        assert all(hash_md5(path.read_bytes()) == path.parent.name + path.name for path in written)
