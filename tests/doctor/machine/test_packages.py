"""Installed packages beside requirements.lock."""

import sys
from importlib.metadata import version

import pytest

from pipeline.doctor.machine.packages import (
    check_packages,
    compare_packages,
    list_installed,
    parse_lock,
)

LOCK = """numpy==2.4.6 ; python_full_version < '3.100' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.100' \\
    --hash=sha256:01
torch==2.15.0 \\
    --hash=sha256:02
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:03
ruamel.yaml==0.19
"""


def test_the_lock_is_read_for_this_python_and_system():
    assert parse_lock(LOCK) == {"numpy": "2.4.6", "torch": "2.15.0", "ruamel-yaml": "0.19"}


@pytest.mark.parametrize(
    ("installed", "missing", "other"),
    [
        ({"numpy": "2.4.6", "torch": "2.15.0+cpu", "ruamel-yaml": "0.19.0"}, [], []),
        ({"numpy": "2.4.5", "torch": "2.15.0", "ruamel-yaml": "0.19"}, [], ["numpy 2.4.5 instead of 2.4.6"]),
        ({"torch": "2.15.0", "ruamel-yaml": "0.19"}, ["numpy"], []),
    ],
)
def test_packages_that_differ_are_named(installed, missing, other):
    found = compare_packages(parse_lock(LOCK), installed)
    assert (found.missing, found.other) == (missing, other)


def test_names_of_metadata_folders_are_the_installed_versions():
    found = list_installed(sys.path)
    for name in ("torch", "numpy", "mlflow", "hydra-core", "ruamel-yaml"):
        assert found[name] == version(name)


@pytest.mark.fault(15, "other packages than those of the lock")
@pytest.mark.parametrize(
    ("wanted", "expected", "named"),
    [
        ("numpy=={numpy}", ["ok"], "1 package"),
        ("numpy==1.0", ["warning"], "numpy"),
        ("absent-package==1.0", ["warning"], "absent-package"),
        ("needed-package==1.0", ["fault"], "needed-package"),
    ],
)
def test_a_package_that_is_not_as_locked_is_found(project, states, wanted, expected, named):
    (project.root / "requirements.lock").write_text(wanted.format(numpy=version("numpy")))
    (project.root / "pyproject.toml").write_text('[project]\ndependencies = ["needed_package>=1"]\n')
    found = [*check_packages(project)]
    assert states(found) == expected
    assert named in found[0].seen


def test_without_a_lock_nothing_can_be_compared(project, states):
    assert states(check_packages(project)) == ["warning"]
    (project.root / "requirements.lock").touch()
    assert states(check_packages(project)) == ["warning"]


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("numpy-2.4.6.dist-info", "numpy", "2.4.6"),
        ("antlr4_python3_runtime-4.9.3.egg-info", "antlr4-python3-runtime", "4.9.3"),
        ("antlr4_python3_runtime-4.9.3-py3.11.egg-info", "antlr4-python3-runtime", "4.9.3"),
    ],
)
def test_installed_packages_are_found_as_pip_left_them(tmp_path, folder, name, version):
    (tmp_path / folder).mkdir()
    (tmp_path / "finetrack.egg-info").mkdir()  # of a source folder, without a version
    assert list_installed([str(tmp_path)]) == {name: version}
