"""The champion is evaluated anew where the test images changed since its own evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from pipeline.compose.input_fingerprints import RESTORED_KEY, fingerprint_source_images
from pipeline.compose.lockfile import read_lock, write_lock
from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, PARAMS_FILE, PREPARED_FOLDER
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.registry.newer_source import find_newer_source
from pipeline.registry.promote import promote_model
from pipeline.storage.finished_trainings import DVC_LOCK_FILE
from pipeline.yolo.inference.loaded_model import InferenceSettings
from tests.builders import prepared_dataset
from tests.registry.conftest import read_aliases
from tests.registry.runs import TAGS, log_run, predict

NAMES = ("disc", "square", "bar")


def save_untrained_weights(path):
    """Save random weights, which detect something everywhere."""
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": 64}}, path)


def test_a_champion_whose_test_images_changed_is_evaluated_anew(target, config, client):
    manifest = prepared_dataset(PREPARED_FOLDER, images={"train": 1, "val": 1, "test": 3}, pixels=64)
    save_untrained_weights(Path("weights.pt"))
    weights = Path("weights.pt").read_bytes()
    settings = InferenceSettings(imgsz=64, conf=0.001, iou=0.7, max_det=300, batch=4, device="cpu")
    file, data = Iteration("weights.pt", "file", "weights.pt"), PreparedData(manifest)
    with SplitPredictor(file, Path("weights.pt"), data, settings=settings, stage="promote") as predictor:
        present = predictor.predict_split("test", Path("predicted"))
    promote_model(log_run(target, "x1", predict(0.7), weights=weights, names=NAMES), config)

    own = {"weights": weights, "names": NAMES, "tags": TAGS | {"finetrack.data.digest": manifest.digest}}
    result = promote_model(log_run(target, "x2", present, **own), config)
    assert len(result.notes) == 2
    assert "the test images or their labels changed" in result.notes[0]
    main = result.decision.comparison.main
    assert (main.images, main.first) == (3, main.second)  # the same weights, and the same images now
    assert read_aliases(client) == {"champion": "1"}  # both find nothing: three images show no equality


@pytest.fixture
def source(runs):  # noqa: ARG001 - its folder
    """A source whose fingerprint is recorded, and that got another image since."""
    folder = Path("images")
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    data = {"format": "yolo", "source": "images"}
    PARAMS_FILE.write_text(json.dumps({"data": data}))
    item = fingerprint_source_images(data)
    write_lock({"conf": "", "composed": {}, "source": item.fingerprint, "of": {"source": item.name}})
    assert not find_newer_source()
    (folder / "b.jpg").write_bytes(b"b")
    return folder


@pytest.mark.fault(2, "a model is judged on test images that are older than its own")
@pytest.mark.parametrize("is_evaluated", [True, False])
def test_prepared_data_that_is_older_than_the_source_is_no_present_test_set(
    target, config, source, is_evaluated
):
    prepared_dataset(PREPARED_FOLDER, images={"train": 1, "val": 1, "test": 3}, pixels=64)
    promote_model(log_run(target, "x1", predict(0.7), names=NAMES), config)
    challenger = log_run(target, "x2", predict(0.9) if is_evaluated else None, names=NAMES)
    with pytest.raises(UserError, match=r"data\.source=images changed.*dvc repro prepare"):
        promote_model(challenger, config)
    assert source.exists()


def test_a_source_is_newer_than_what_prepare_recorded(source):
    assert find_newer_source() == "data.source=images"
    present = fingerprint_source_images({"format": "yolo", "source": "images"}).fingerprint
    recorded = {"stages": {"prepare": {"params": {COMPOSE_LOCK_FILE.name: {"source": present}}}}}
    DVC_LOCK_FILE.write_text(json.dumps(recorded))
    assert not find_newer_source()
    DVC_LOCK_FILE.unlink()
    lock = read_lock()
    write_lock({**lock, RESTORED_KEY: "a run"})
    assert not find_newer_source()
    write_lock(lock)
    source.rename("gone")
    assert not find_newer_source()
    PARAMS_FILE.unlink()
    assert not find_newer_source()
