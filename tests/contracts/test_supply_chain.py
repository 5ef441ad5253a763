"""What is installed is what the locks state: exact versions, a hash for each file, and no pip at run time."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.markers import Marker
from packaging.version import Version

from pipeline.yolo.ultralytics_environment import set_up_environment
from tests.contracts.bill_of_materials import ROOT, build_bill, list_locks, parse_lock, write_bill

NAMES = [str(path.relative_to(ROOT)) for path in list_locks()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.fault(15, "a lock with a range, an address or a file without a hash")
def test_every_line_of_a_lock_is_an_exact_version_with_hashes(name):
    packages = parse_lock((ROOT / name).read_text())
    assert len(packages) > 50
    assert [package.name for package in packages if not package.hashes] == []
    assert not re.search(r"://|@ |--(?:extra-)?index|--find-links|--trusted", (ROOT / name).read_text())


@pytest.mark.parametrize(
    "line",
    [
        "numpy>=2",
        "numpy",
        "numpy @ https://example.org/x.whl",
        "-e .",
        "--index-url https://x",
        "  --hash=md5:00",
    ],
)
def test_another_line_in_a_lock_is_refused(line):
    with pytest.raises(ValueError, match="neither an exact version nor a hash"):
        parse_lock(f"attrs==1.0 \\\n    --hash=sha256:{'0' * 64}\n{line}\n")


def test_installed_versions_are_those_of_the_lock():
    wrong = []
    for package in parse_lock((ROOT / "requirements.lock").read_text()):
        if package.marker and not Marker(package.marker).evaluate():
            continue
        try:
            installed = version(package.name)
        except PackageNotFoundError:
            continue
        if Version(installed).public != Version(package.version).public:
            wrong.append((package.name, package.version, installed))
    assert wrong == []


def write_wheel(folder: Path) -> Path:
    """Write a package of one module, as pip installs it."""
    content = {
        "sample.py": b"value = 1\n",
        "sample-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n",
        "sample-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for name, data in content.items()
    ]
    content["sample-1.0.dist-info/RECORD"] = "\n".join([*rows, "sample-1.0.dist-info/RECORD,,\n"]).encode()
    path = folder / "sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def read_install_command() -> list[str]:
    """Return the options of pip in the Makefile's set-up."""
    [line] = re.findall(r"-m pip install (.*) -r requirements\.lock$", (ROOT / "Makefile").read_text(), re.M)
    return line.split()


@pytest.mark.parametrize(
    "kind", ["wrong", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("right", "none"))]
)
@pytest.mark.fault(15, "an installed file whose hash is not the one of the lock")
def test_the_set_up_installs_only_files_with_the_hash_of_the_lock(tmp_path, kind):
    wheel = write_wheel(tmp_path)
    digest = {"right": hashlib.sha256(wheel.read_bytes()).hexdigest(), "wrong": "0" * 64}.get(kind)
    (tmp_path / "requirements.lock").write_text(
        f"sample==1.0 {f'--hash=sha256:{digest}' if digest else ''}\n"
    )
    options = read_install_command()
    assert "--require-hashes" in options
    command = [sys.executable, "-m", "pip", "install", *options, "--no-index", "--find-links", tmp_path]
    done = subprocess.run(
        [*command, "--target", tmp_path / "installed", "-r", tmp_path / "requirements.lock"],
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (kind == "right"), done.stderr
    assert (tmp_path / "installed/sample.py").exists() == (kind == "right")
    if kind == "wrong":
        assert "DO NOT MATCH THE HASHES" in done.stderr


@pytest.mark.fault(15, "a package that Ultralytics wants is absent at run time")
def test_ultralytics_installs_nothing_at_run_time(monkeypatch):
    from ultralytics.utils import checks

    started = []
    monkeypatch.setattr(subprocess, "check_output", lambda *command, **_: started.append(command))
    monkeypatch.setattr(subprocess, "run", lambda *command, **_: started.append(command))
    set_up_environment()
    assert checks.check_requirements("a-package-that-nobody-has==9", install=True) is False
    assert started == []


@pytest.mark.parametrize("name", [NAMES[-1], *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES[:-1])])
def test_bill_of_materials_is_valid_and_names_every_package(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    text = write_bill(ROOT / name).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    packages = parse_lock((ROOT / name).read_text())
    listed = sorted((part["name"], part["version"]) for part in found["components"])
    assert listed == sorted((package.name, package.version) for package in packages)
    hashes = {part["bom-ref"]: len(part["externalReferences"][0]["hashes"]) for part in found["components"]}
    assert sum(hashes.values()) == sum(len(set(package.hashes)) for package in packages)
    assert "://" not in json.dumps([part["externalReferences"] for part in found["components"]])
    assert build_bill(ROOT / name).serial_number == build_bill(ROOT / name).serial_number
