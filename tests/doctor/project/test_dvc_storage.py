"""DVC's cache and remotes; the settings are those of a real DVC."""

import pytest

from pipeline.core.errors import UserError
from pipeline.doctor.project.dvc_storage import check_dvc_cache, check_dvc_remote
from tests.tracking.servers import find_free_port


@pytest.fixture
def with_dvc(project, monkeypatch):
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(project.root / level))
    (project.root / ".dvc").mkdir()
    (project.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    return project


def settings(project, text):
    (project.root / ".dvc/config").write_text(text)


def test_a_new_project_is_ok(with_dvc, states):
    assert states(check_dvc_cache(with_dvc)) == ["ok"]
    assert states(check_dvc_remote(with_dvc)) == ["ok"]
    assert not (with_dvc.root / ".dvc/tmp").exists()


@pytest.mark.fault(11, "DVC's settings are damaged or absent")
@pytest.mark.parametrize("text", ["[core\n", "[core]\n    unknown = 1\n", None])
def test_settings_that_cannot_be_read_are_a_sentence(with_dvc, text):
    if text is None:
        (with_dvc.root / ".dvc/config").unlink()
        (with_dvc.root / ".dvc").rmdir()
    else:
        settings(with_dvc, text)
    with pytest.raises(UserError, match=r"DVC's settings|there is no"):
        [*check_dvc_cache(with_dvc)]


def test_a_cache_that_is_a_file_is_a_fault(with_dvc, states):
    (with_dvc.root / ".dvc/cache").touch()
    assert states(check_dvc_cache(with_dvc)) == ["fault"]


def test_a_missing_dvc_yaml_is_a_fault(with_dvc, states):
    (with_dvc.root / "dvc.yaml").unlink()
    assert states(check_dvc_cache(with_dvc)) == ["fault", "ok"]


@pytest.mark.fault(11, "a remote that is away")
@pytest.mark.parametrize(
    ("address", "exists", "state"), [("../store", True, "ok"), ("../store", False, "warning")]
)
def test_the_folder_of_a_remote_is_looked_for(with_dvc, address, exists, state):
    settings(with_dvc, f"[core]\n    remote = team\n['remote \"team\"']\n    url = ../{address}\n")
    if exists:
        (with_dvc.root.parent / "store").mkdir()
    [found] = check_dvc_remote(with_dvc)
    assert found.state == state


def test_a_default_remote_that_is_not_defined_is_a_fault(with_dvc, states):
    settings(with_dvc, "[core]\n    remote = team\n")
    assert states(check_dvc_remote(with_dvc)) == ["fault"]


@pytest.mark.fault(11, "a remote that is away")
def test_a_server_that_does_not_answer_is_a_sentence_without_the_password(with_dvc):
    address = f"ssh://me:secret@127.0.0.1:{find_free_port()}/store"
    settings(with_dvc, f"[core]\n    remote = team\n['remote \"team\"']\n    url = {address}\n")
    with pytest.raises(UserError, match="cannot be reached") as failure:
        [*check_dvc_remote(with_dvc)]
    assert "secret" not in str(failure.value)


def test_local_settings_go_before_those_of_the_project(with_dvc):
    (with_dvc.root / ".dvc/config.local").write_text("[cache]\n    dir = ../../elsewhere\n")
    assert with_dvc.dvc_settings.cache == with_dvc.root.parent / "elsewhere"
