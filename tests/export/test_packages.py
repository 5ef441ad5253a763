"""Which Python exports: this one, that of .venv-export, or none yet."""

import sys

import pytest

from pipeline.core.errors import UserError
from pipeline.export.packages import find_python, list_missing_packages, list_requirements
from pipeline.export.variants import ExportVariant

MISSING = ExportVariant("axelera", "int8", "outside")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def create_environment(project):
    python = project / ".venv-export/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_this_python_exports_what_it_has_packages_for():
    assert find_python([ExportVariant("torchscript", "fp32", "outside")]) is None
    assert find_python([ExportVariant("onnx", "fp16", "graph")]) is None


def test_int8_of_openvino_needs_more_packages_than_fp32():
    some, more = (list_requirements([ExportVariant("openvino", one, "outside")]) for one in ("fp32", "int8"))
    assert {*more} - {*some} == {"nncf>=3,<4"}


def test_missing_packages_are_looked_for_in_the_other_environment(project):
    python = create_environment(project)
    assert list_missing_packages([MISSING]) == ["axelera-devkit"]
    assert find_python([MISSING]) == python


def test_packages_that_are_nowhere_are_named_with_the_way_to_install_them():
    with pytest.raises(UserError, match=r"axelera-devkit.*make export-env.*pip install 'axelera-devkit'"):
        find_python([MISSING])


def test_other_environment_does_not_look_in_itself_again(project, monkeypatch):
    python = create_environment(project)
    monkeypatch.setattr(sys, "prefix", str(python.parents[1]))
    with pytest.raises(UserError, match="axelera-devkit"):
        find_python([MISSING])
