"""The champion is evaluated anew where the test images changed since its own evaluation."""

from __future__ import annotations

from pathlib import Path

import torch
from ultralytics.nn.tasks import DetectionModel

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.registry.promote import promote_model
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
