"""Classes that leave nothing to tell apart, and pictures that are in several of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.prepare.stage import run_stage
from tests import sources
from tests.sources import prepare_config


@pytest.fixture
def folders(tmp_path, monkeypatch) -> Path:
    """A folder for each of two classes, with eight pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(8):
            sources.write_picture(tmp_path / "set" / name / f"{name}{number}.jpg")
    return tmp_path / "set"


@pytest.mark.fault(10, "a classifier of one class is trained, and right on all images")
@pytest.mark.parametrize(
    "classes",
    [
        {"keep": ["cat"], "drop": [], "rename": {}},
        {"keep": None, "drop": [], "rename": {"cat": "animal", "dog": "animal"}},
    ],
)
def test_one_class_is_nothing_to_tell_apart(folders, classes):
    with pytest.raises(UserError, match="two or more classes"):
        run_stage(prepare_config("folders", folders, task="classify", classes=classes))


@pytest.mark.fault(10, "a picture in two class folders counts for both, without a word")
def test_a_picture_in_two_classes_is_told(folders):
    run_stage(prepare_config("folders", folders, task="classify"))
    assert not read_contradictions()
    shutil.copyfile(folders / "cat/cat0.jpg", folders / "dog/other.jpg")
    run_stage(prepare_config("folders", folders, task="classify"))
    [remark] = read_contradictions()
    assert "1 picture is in several classes" in remark
    assert "cat/cat0.jpg (cat) and dog/other.jpg (dog)" in remark


def read_contradictions() -> list[str]:
    remarks = json.loads((PREPARED_FOLDER / "defects.json").read_text())["remarks"]
    return [remark for remark in remarks if "several classes" in remark]
