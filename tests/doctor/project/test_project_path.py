"""The project's folder, and that of temporary files."""

import tempfile

import pytest

from pipeline.doctor.examined_project import ExaminedProject
from pipeline.doctor.project.project_path import check_project_path
from tests.disks import mount_small_disk, read_only_disk


@pytest.fixture(autouse=True)
def short_temporary_folder(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("it's 100%20 a?b#c", "ok"),
        ("größe", "ok"),
        ("a:b", "warning"),
        ("a\nb", "fault"),
        ("a\udcff", "fault"),
    ],
)
def test_names_of_folders_that_make_trouble_are_found(project, name, state):
    (project.root / name).mkdir()
    [found] = check_project_path(ExaminedProject(project.root / name))
    assert found.state == state


@pytest.mark.fault(3, "DVC_ROOT of another project in the environment")
@pytest.mark.parametrize("variable", ["DVC_ROOT", "FINETRACK_ROOT"])
def test_a_variable_that_names_another_project_is_a_fault(project, monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path))
    [found] = check_project_path(project)
    assert (found.state, f"unset {variable}" in found.advice) == ("fault", True)


def test_a_path_that_is_too_long_for_sockets_is_a_warning(project, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", f"/tmp/{'d' * 80}")
    [found] = check_project_path(project)
    assert (found.state, "85 bytes" in found.seen) == ("warning", True)


@pytest.mark.fault(13, "a project on a disk that is read-only")
@pytest.mark.usefixtures("project")
def test_a_disk_that_is_read_only_is_a_fault(tmp_path):
    with mount_small_disk(tmp_path / "disk", kilobytes=64) as disk, read_only_disk(disk):
        [found] = check_project_path(ExaminedProject(disk))
    assert found.state == "fault"
