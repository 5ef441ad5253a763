"""Remotes by SSH and S3, from servers that run for the test; what is wrong with one is said in a sentence."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from tests.remotes.conftest import PREPARED, WEIGHTS, flip_byte, hash_md5
from tests.remotes.stores import serve_s3, serve_ssh

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of DVC's pygtrie
SLOW_S3 = pytest.param(serve_s3, marks=pytest.mark.slow)
IMAGE = hash_md5(PREPARED["images/a.jpg"])


def use_remote(project, url: str, **settings: str) -> None:
    """Set the URL of the remote in git, and its other settings beside it."""
    config = project.folder / ".dvc/config"
    config.write_text(
        config.read_text().partition("['remote")[0] + f"['remote \"store\"']\n    url = {url}\n"
    )
    lines = "".join(f"    {key} = {value}\n" for key, value in settings.items())
    (project.folder / ".dvc/config.local").write_text(f"['remote \"store\"']\n{lines}")
    if project.git("status", "--porcelain"):
        project.git("commit", "-qam", "remote")


@pytest.mark.parametrize("serve", [serve_ssh, SLOW_S3])
def test_a_clone_gets_everything_from_the_remote(team, tmp_path, serve):
    team.add_experiment("brave", b"other weights")
    with serve(tmp_path) as remote:
        use_remote(team, remote.url, **remote.settings)
        team.push(branch=True)
        assert team.push()[0].startswith("0 files")
        colleague = team.clone()
        use_remote(colleague, remote.url, **remote.settings)
        colleague.pull()
        assert colleague.read_prepared() == PREPARED
        assert (colleague.folder / "models/best.pt").read_bytes() == WEIGHTS
        assert colleague.cache(hash_md5(b"other weights")).exists()
        remote.damage(f"files/md5/{IMAGE[:2]}/{IMAGE[2:]}")
        other = team.clone("other")
        use_remote(other, remote.url, **remote.settings)
        with pytest.raises(UserError, match=r"damaged on the remote store: data/prepared/images/a.jpg"):
            other.pull()


@pytest.mark.fault(15, "a wrong password of a DVC remote")
@pytest.mark.parametrize("serve", [serve_ssh, SLOW_S3])
def test_a_wrong_password_is_one_sentence_without_it(team, tmp_path, serve):
    with serve(tmp_path, strict=True) as remote:
        use_remote(team, remote.url, **{**remote.settings, remote.secret: "mistyped-secret"})
        with pytest.raises(UserError, match=r"the remote store \(.*\) refuses the access") as error:
            team.push()
    assert "mistyped-secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("serve", [serve_ssh, SLOW_S3])
def test_a_remote_that_is_away_is_one_sentence(team, tmp_path, serve):
    with serve(tmp_path) as remote:
        pass
    use_remote(team, remote.url, **remote.settings)
    with pytest.raises(UserError, match=r"the remote store \(.*\) cannot be reached"):
        team.push()


def test_a_bucket_that_does_not_exist_is_not_created(team, tmp_path):
    with serve_s3(tmp_path) as remote:
        use_remote(team, "s3://mistyped/sweeps", **remote.settings)
        with pytest.raises(UserError, match=r"the remote store \(s3://mistyped/sweeps\) does not exist"):
            team.push()


@pytest.mark.fault(11, "an object of DVC's cache is damaged before a push")
def test_a_damaged_object_does_not_reach_a_server(team, tmp_path):
    flip_byte(team.cache(hash_md5(WEIGHTS)))
    (team.folder / "models/best.pt").unlink()
    with serve_ssh(tmp_path) as remote:
        use_remote(team, remote.url, **remote.settings)
        with pytest.raises(UserError, match=r"damaged in DVC's cache.*models/best.pt"):
            team.push()
    assert not any(path.is_file() for path in (tmp_path / "ssh-store").rglob("*"))
