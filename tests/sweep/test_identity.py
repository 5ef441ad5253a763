"""What a sweep's results are made from: a change of it is another sweep, whichever point reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.sweep.identity import build_identity
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space
from pipeline.sweep.workers.run_job import find_changed_input

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy conf/, so that a test can change it; two folders of images."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.jpg").write_bytes(name.encode())
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("FINETRACK_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build(*overrides: str):
    return build_identity(plan_space(["finetune=scratch", *overrides], SweepSettings()))


def change_last_augmentation(project):
    path = project / "conf/augment/light.yaml"
    path.write_text(path.read_text().replace("fliplr: 0.5", "fliplr: 0.25"))


def change_last_images(project):
    (project / "b/image.jpg").write_bytes(b"other")


def change_last_weights(project):
    (project / "b.pt").write_bytes(b"other")


@pytest.mark.fault(14, "the files of later points changed between two commands")
@pytest.mark.parametrize(
    ("overrides", "change", "changed"),
    [
        (["augment=none,light"], change_last_augmentation, {"augment"}),
        (["data=yolo", "data.source=a,b"], change_last_images, {"images"}),
        (["finetune=full", "model.weights=a.pt,b.pt"], change_last_weights, {"base weights"}),
    ],
)
def test_what_only_a_later_point_reads_is_part_of_the_identity(project, overrides, change, changed):
    for name in ("a.pt", "b.pt"):
        (project / name).write_bytes(name.encode())
    before = build(*overrides).digests
    change(project)
    after = build(*overrides).digests
    assert {key for key in before if before[key] != after[key]} == changed


@pytest.mark.parametrize(
    ("key", "is_tested", "changed"),
    [("tile=640", True, {"evaluate"}), ("tile=640", False, set()), ("worst=3", True, set())],
)
@pytest.mark.usefixtures("project")
def test_how_test_is_measured_is_part_of_a_sweep_that_scores_each_training_on_test(key, is_tested, changed):
    plans = [plan_space(["finetune=scratch", *more], SweepSettings()) for more in ([], [f"evaluate.{key}"])]
    before, after = (build_identity(plan, is_tested=is_tested).digests for plan in plans)
    assert ("evaluate" in before) == is_tested
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("recorded", "began", "changes"),
    [("1", {"data.source=a": "1"}, False), ("2", {"data.source=a": "1"}, True), ("2", {}, False)],
)
def test_images_of_a_job_are_those_at_the_start_of_its_sweep(recorded, began, changes):
    sentence = find_changed_input({"of": {"source": "data.source=a"}, "source": recorded}, began)
    assert (sentence is not None) == changes
    assert sentence is None or sentence.startswith("data.source=a changed while the sweep ran")


@pytest.mark.fault(14, "code is untracked, or edited, when the jobs of a sweep start")
@pytest.mark.parametrize(("digest", "changes"), [("1", False), ("2", True)])
def test_the_code_of_a_job_is_that_at_the_start_of_its_sweep(digest, changes):
    sentence = find_changed_input({"of": {}, "code": {"prepare": digest}}, {"code.prepare": "1"})
    assert (sentence is not None) == changes


def test_weights_that_were_downloaded_meanwhile_are_no_change():
    lock = {"of": {"weights": "model.weights=yolo11n.pt"}, "weights": "0ebbc80d"}
    assert find_changed_input(lock, {"model.weights=yolo11n.pt": "yolo11n.pt"}) is None
