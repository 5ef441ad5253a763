"""Any model predicts on a split of prepared data: its classes are those of the data, or all merged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import ClassificationModel, DetectionModel

from pipeline.core.errors import UserError
from pipeline.iterations.iteration import SINGLE_CLASS_KEY, Iteration
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel
from pipeline.yolo.inference.predict import read_prepared_image
from tests.builders import prepared_dataset

CODES, WORDS = ("n01440764", "n02102040", "n02979186"), ("tench", "English_springer", "cassette_player")
NAMES = ("disc", "square", "bar")
SETTINGS = InferenceSettings(imgsz=64, conf=0.001, iou=0.7, max_det=20, batch=2, device="cpu", threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    folder = root / "data/prepared"
    manifest = prepared_dataset(folder, images={"train": 1, "val": 1, "test": 3}, pixels=64, classes=NAMES)
    return PreparedData(manifest, root, "the old images")


def save_weights(path, names, **arguments):
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": 64, **arguments}}, path)
    return path


def predict(weights, data, folder, **known):
    iteration = Iteration(weights.name, "file", weights.name, **known)
    with SplitPredictor(iteration, weights, data, settings=SETTINGS, stage="compare") as predictor:
        return predictor.predict_split("test", folder)


def test_predictions_have_the_images_the_truth_and_the_weights(data, tmp_path):
    weights = save_weights(tmp_path / "some.pt", NAMES)
    found = predict(weights, data, tmp_path / "predicted")
    assert [image.file for image in found.images] == [item.file for item in data.manifest.in_split("test")]
    assert [len(truth.classes) for truth in found.truths] == [
        len(item.classes) for item in data.manifest.in_split("test")
    ]
    assert (found.names, found.weights) == (NAMES, hash_file(weights))


@pytest.mark.parametrize("known", [{}, {"params": {SINGLE_CLASS_KEY: True}}])
def test_a_model_of_merged_classes_has_one_class_by_its_configuration_or_its_checkpoint(
    data, tmp_path, known
):
    weights = save_weights(tmp_path / "merged.pt", ("item",), **({} if known else {"single_cls": True}))
    found = predict(weights, data, tmp_path / "predicted", **known)
    assert found.names == ("item",)
    assert {int(cls) for truth in found.truths for cls in truth.classes} == {0}


@pytest.mark.fault(13, "a model of other classes is compared, exported or promoted")
@pytest.mark.parametrize("names", [("cat", "dog", "cow"), ("disc",)])
def test_other_classes_are_refused(data, tmp_path, names):
    weights = save_weights(tmp_path / "other.pt", names)
    with pytest.raises(UserError, match=rf"{', '.join(names)}, but the data of the old images has disc"):
        predict(weights, data, tmp_path / "predicted")


@pytest.mark.fault(13, "a model is refused on its own data, whose classes are codes of ImageNet")
@pytest.mark.parametrize("names", [CODES, CODES[::-1], WORDS, WORDS[::-1]], ids=" ".join)
def test_codes_of_imagenet_and_their_words_are_the_same_classes(tmp_path, names):
    folder = tmp_path / "data/prepared"
    drawn = prepared_dataset(folder, images={"test": 2}, pixels=64, classes=CODES, objects=(1, 1))
    data = PreparedData(replace(drawn, task="classify"), tmp_path)
    torch.manual_seed(0)
    model = ClassificationModel("yolo26n-cls.yaml", nc=3, verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "classify", "imgsz": 64}}, tmp_path / "a.pt")
    found = predict(tmp_path / "a.pt", data, tmp_path / "predicted")
    assert found.names == CODES
    with LoadedModel(tmp_path / "a.pt", settings=SETTINGS) as loaded:
        files = [folder / "images" / item.file for item in data.manifest.in_split("test")]
        own = np.stack(loaded.predict([read_prepared_image(file) for file in files]))
    order = slice(None, None, -1 if names[0] in {CODES[-1], WORDS[-1]} else 1)
    np.testing.assert_allclose(found.probabilities, own[:, order], atol=1e-4)
