"""Weights that may know the images of a learning curve: whose they are, and what is said of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.storage.base_weights import find_weights_origin
from pipeline.storage.files import hash_file
from pipeline.sweep.learning_curve.published_weights import remark_on_weights

ROOT = Path(__file__).parents[3]
BUNDLED = "models/foundation/yolo26n-foundation.pt"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a list of official weights, the bundled ones, and a folder w of the user's files."""
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "models/foundation", tmp_path / "models/foundation")
    folder = tmp_path / "w"
    folder.mkdir()
    for name in ("parts.pt", "yolov8n.pt", "yolo11n.pt", "yolo11n-seg.pt"):
        (folder / name).write_bytes(name.encode())
    digests = {path.name: hash_file(path) for path in folder.iterdir()}
    (folder / "SHA256SUMS").write_text("".join(f"{value}  {name}\n" for name, value in digests.items()))
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/SHA256SUMS").write_text(f"{digests['yolov8n.pt']}  yolov8n.pt\n")
    shutil.copyfile(tmp_path / BUNDLED, folder / "copy.pt")
    return tmp_path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("weights", "folder", "origin"),
    [
        ("yolo26n-pose.pt", None, "published"),  # it is downloaded
        ("yolo26n-pose.pt", "w", "published"),
        ("yolov8n.pt", "w", "published"),
        ("w/yolov8n.pt", None, "published"),
        (BUNDLED, None, "published"),
        ("yolo11n.pt", "w", "named"),
        ("w/yolo11n.pt", None, "named"),
        ("absent/yolo11n.pt", None, "named"),
        ("w/parts.pt", None, "own"),
        ("parts.pt", "w", "own"),
        ("w/copy.pt", None, "own"),
        ("absent.pt", None, "own"),
    ],
)
def test_only_lists_of_the_project_and_downloads_prove_whose_weights_are(weights, folder, origin):
    assert find_weights_origin(weights, folder) == origin


@pytest.mark.usefixtures("project")
def test_bundled_weights_that_were_replaced_are_the_users_own(project):
    (project / BUNDLED).write_bytes(b"other")
    assert find_weights_origin(BUNDLED, None) == "own"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("weights", "teacher", "task", "count"),
    [
        ("w/parts.pt", None, "detect", 1),
        ("w/yolo11n.pt", None, "detect", 1),
        ("yolov8n.pt", None, "detect", 0),
        ("yolov8n.pt", None, None, 0),
        (None, None, None, 0),
        ("yolo11n.pt", None, "segment", 1),  # w/yolo11n-seg.pt is trained
        ("yolo11n.pt", None, "pose", 0),
        ("yolov8n.pt", "w/yolo11n.pt", "detect", 1),
        ("w/parts.pt", "w/yolo11n.pt", "detect", 2),
    ],
)
def test_what_may_know_the_images_is_remarked_on(weights, teacher, task, count):
    values = {
        "model": {"weights": weights, "folder": "w"},
        "finetune": {"strategy": "full", "distill_model": teacher},
    }
    assert len(remark_on_weights(values, task)) == count


@pytest.mark.usefixtures("project")
def test_a_training_from_scratch_knows_no_weights():
    values = {
        "model": {"weights": "w/parts.pt", "folder": None},
        "finetune": {"strategy": "scratch", "distill_model": None},
    }
    assert remark_on_weights(values, "detect") == []
