"""`finetrack pseudo-label` with a real model: the foundation weights on drawn shapes, which they know."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.compose.stage import plan_config
from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.labels import parse_labels, xywhn_to_xyxy
from pipeline.dataset.prepared import read_manifest
from pipeline.dataset.pseudo_labels import (
    PSEUDO_LABELS_FILE,
    PseudoLabelledImage,
    read_pseudo_label_record,
    shorten_image_hash,
)
from pipeline.evaluate.metrics.matching import match_detections
from pipeline.evaluate.predictions import read_ground_truth
from pipeline.iterations.iteration import Iteration
from pipeline.predict.list_files import list_files
from pipeline.predict.pseudo_labels.label_images import LabelledImages
from pipeline.predict.pseudo_labels.measure_val import TeacherThresholds, ValOutcome
from pipeline.predict.pseudo_labels.run import (
    PseudoLabelRequest,
    label_by_teacher,
    warn_of_other_images,
    write_labelled_folder,
)
from pipeline.predict.pseudo_labels.teacher import PseudoLabelTeacher, find_teacher
from pipeline.predict.pseudo_labels.thresholds import ClassThreshold, PseudoLabelRule
from pipeline.prepare.stage import run_stage
from pipeline.storage.files import hash_file
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
from tests.predict.conftest import WEIGHTS
from tests.sources import prepare_config

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "imgsz": 192, "conf": 0.01, "iou": 0.7, "max_det": 100, "batch": 8, "device": "cpu", "threads": 1,
}  # fmt: skip
RULE = PseudoLabelRule()
FROM_HALF = ClassThreshold(accepted=0.5, uncertain=0.5, doubt=1.0, detections=20, right=20, tight=20)
"""The foundation knows shapes, but not well: val would choose no threshold of this kind."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A project with drawn shapes; some of the images of test stand for unlabelled ones."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        split = {"train": 0.1, "val": 0.5, "test": 0.4}
        run_stage(prepare_config("shapes", None, images=50, pixels=192, split=split))
        manifest = read_manifest(PREPARED_FOLDER)
        for item in manifest.in_split("test"):
            target = folder / "unlabelled/site" / Path(item.file).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PREPARED_FOLDER / "images" / item.file, target)
    shutil.copy(folder / "unlabelled/site" / target.name, folder / "unlabelled/again.jpg")
    (folder / "unlabelled/broken.jpg").write_bytes(b"no image")
    (folder / "unlabelled/notes.txt").write_text("of a person")
    return folder


@pytest.fixture
def project(drawn, monkeypatch):
    monkeypatch.chdir(drawn)
    monkeypatch.setenv("DVC_ROOT", str(drawn))
    return drawn


@pytest.fixture
def teacher(project):
    assert Path.cwd() == project
    manifest = read_manifest(PREPARED_FOLDER)
    iteration = Iteration("shapes", "run", "shapes", run_id="1" * 32, data=manifest.digest)
    return PseudoLabelTeacher(iteration, WEIGHTS, hash_file(WEIGHTS), manifest, SETTINGS)


def ask(output):
    return PseudoLabelRequest([Path("unlabelled")], output, "shapes", RULE)


def test_images_get_labels_where_objects_are(tmp_path, teacher):
    chosen = TeacherThresholds([FROM_HALF] * 30, ValOutcome(25, 20, 20, 19, 20), RULE)
    listed = list_files([Path("unlabelled")])
    said = [*write_labelled_folder(ask(tmp_path / "out"), teacher, chosen, listed)]
    record = read_pseudo_label_record(tmp_path / "out")
    assert record.names == teacher.manifest.names
    assert record.trained_on == tuple(
        sorted(shorten_image_hash(item.sha256) for item in teacher.manifest.in_split("train"))
    )
    assert sum(record.counts.values()) == 22
    assert (record.counts["unreadable"], record.counts["equal to another one"]) == (1, 1)
    assert record.counts["labelled"] == len(record.images) > 5
    items = {item.sha256: item for item in teacher.manifest.items}
    right = labels = 0
    for image in record.images:
        assert hash_file(tmp_path / "out/images" / image.file) == image.sha256
        item = items[image.sha256]
        truth = read_ground_truth(item, teacher.manifest, single_class=False)
        found = parse_labels((tmp_path / "out/labels" / image.label_file).read_text())
        boxes = xywhn_to_xyxy(found.boxes, item.width, item.height)
        matched = match_detections(truth, Detections(boxes, np.ones(len(found)), found.classes))
        labels += len(found)
        right += int((matched[:, 0] >= 0).sum())
    assert labels == sum(each["labels"] for each in record.classes.values())
    assert right >= 0.4 * labels
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data.yaml", "images", "labels", PSEUDO_LABELS_FILE,
    ]  # fmt: skip
    assert any("broken.jpg" in line for line in said)
    assert str(tmp_path) not in (tmp_path / "out" / PSEUDO_LABELS_FILE).read_text()


@pytest.mark.parametrize(
    ("counts", "is_warned"),
    [
        ({"labelled": 4, "uncertain": 1}, False),
        ({"labelled": 1, "uncertain": 4}, True),
        ({"labelled": 4, "uncertain": 1, "unreadable": 20, "equal to another one": 20}, False),
    ],
)
def test_images_of_another_kind_are_told_by_those_that_were_judged(counts, is_warned):
    images = [PseudoLabelledImage("a.jpg", "", "", "a.jpg")] * counts["labelled"]
    labelled = LabelledImages(images, Counter(counts))
    assert bool([*warn_of_other_images(ValOutcome(10, 8, 9, 9, 9), labelled)]) == is_warned


def test_a_precision_that_no_model_reaches_is_refused(capsys):
    assert main(["pseudo-label", "unlabelled", "--model", "shapes", "--precision", "1"], ROOT) == 1
    assert "below 1" in capsys.readouterr().err


@pytest.mark.fault(13, "labels that people may have corrected would be replaced")
def test_a_folder_that_exists_is_never_replaced(tmp_path, teacher):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="people may have corrected"):
        list(label_by_teacher(ask(tmp_path / "out"), teacher))
    with pytest.raises(UserError, match="is in the source"):
        list(label_by_teacher(ask(Path("unlabelled/out")), teacher))


@pytest.mark.fault(3, "pseudo-labels of a teacher that is not good enough")
def test_a_teacher_that_is_not_good_enough_writes_nothing(tmp_path, teacher):
    with pytest.raises(UserError, match="train a better teacher"):
        list(label_by_teacher(ask(tmp_path / "out"), teacher))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_of_mlflow_is_found_and_measured(project, teacher, tmp_path, capsys):
    shutil.copytree(ROOT / "conf", project / "conf")
    config = plan_config(())
    target = TrackingTarget(config.tracking.uri, config.tracking.experiment, config.tracking.timeout)
    tags = {
        "finetrack.task": "detect",
        "finetrack.data.digest": teacher.manifest.digest,
        "finetrack.weights.sha256": teacher.sha256,
    }
    folder = project / "models/finetuned"
    folder.mkdir(parents=True)
    shutil.copy(WEIGHTS, folder / "best.pt")
    (folder / "run.json").write_text(json.dumps({"task": "detect", "names": teacher.manifest.names}))
    with open_run(target, key="k" * 64, name="shapes", tags=tags) as session:
        session.log_params({"finetune": {"imgsz": 192}})
        session.log_artifact(folder)
    found = find_teacher("shapes", config, {"device": "cpu"})
    assert (found.sha256, found.manifest) == (teacher.sha256, teacher.manifest)
    words = ["pseudo-label", "unlabelled", "--model", "shapes", "--output", str(tmp_path / "out")]
    assert main([*words, "--device", "cpu"], project) == 1
    said = capsys.readouterr()
    assert "train a better teacher" in said.err
    assert "triangle: " in said.out
    assert list(tmp_path.iterdir()) == []
