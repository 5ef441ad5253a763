"""A model in memory: results in order, of any sizes, from several threads; checkpoints and exported files."""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from pipeline.core.errors import UserError
from pipeline.core.tasks import TASKS
from pipeline.yolo.inference.loaded_model import LoadedModel
from pipeline.yolo.inference.model_file import read_export_facts
from pipeline.yolo.inference.predict import predict_detections
from tests.builders import draw_objects

WEIGHTS = Path(__file__).parents[3] / "models/foundation/yolo26n-foundation.pt"
SETTINGS = {"imgsz": 64, "conf": 0.001, "iou": 0.7, "max_det": 20, "batch": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def model():
    with LoadedModel(WEIGHTS, settings=SETTINGS) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A torchscript file of fixed size."""
    copy = shutil.copy(WEIGHTS, tmp_path_factory.mktemp("export") / "net.pt")
    with warnings.catch_warnings(action="ignore"):  # of torch.jit
        return Path(YOLO(copy).export(format="torchscript", imgsz=64, device="cpu", verbose=False))


def _images():
    """Images of three shapes, mixed."""
    sizes = [(64, 64), (96, 64), (64, 64), (48, 80), (96, 64), (64, 64)]
    images = []
    for seed, (width, height) in enumerate(sizes):
        drawn, _ = draw_objects(np.array([0, 1]), pixels=96, rng=np.random.default_rng(seed))
        images.append(np.ascontiguousarray(drawn[:height, :width]))
    return images


def _assert_same(first, second, tolerance=1e-4):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=tolerance * 100)
        np.testing.assert_allclose(one.scores, other.scores, atol=tolerance)
        np.testing.assert_array_equal(one.classes, other.classes)


def test_each_image_has_its_own_result_in_order(model):
    images = _images()
    found = model.predict(images)
    assert sum(len(image.scores) for image in found) >= 20
    _assert_same(found, [model.predict([image])[0] for image in images])
    assert model.predict([]) == []


def test_results_equal_those_of_evaluate(model, tmp_path):
    images = _images()
    paths = [tmp_path / f"{place}.png" for place in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    _assert_same(model.predict(images), list(predict_detections(WEIGHTS, paths, **SETTINGS)))


def test_chosen_classes_are_found_however_many_others_there_are():
    how = SETTINGS | {"imgsz": 320, "conf": 1e-6, "max_det": 300}  # fewer than the places of this network
    with LoadedModel(WEIGHTS, settings=how) as whole:
        (every,) = whole.predict(_images()[:1])
    counts = np.bincount(every.classes)
    chosen = int(np.flatnonzero(counts)[-1])
    some = every.select(np.flatnonzero(every.classes == chosen))
    with LoadedModel(WEIGHTS, settings=how | {"classes": [chosen]}) as model:
        (found,) = model.predict(_images()[:1])
    assert {*found.classes.tolist()} == {chosen}
    assert len(every.classes) == 300 >= len(found.classes) > len(some.classes) > 0
    _assert_same([found.select(np.arange(len(some.classes)))], [some])


def test_concurrent_predictions_are_not_mixed(model):
    images = _images()
    expected = model.predict(images)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda place: model.predict([images[place % 6]])[0], range(24)))
    _assert_same(answers, [expected[place % 6] for place in range(24)])


@pytest.mark.parametrize("task", TASKS)
def test_task_and_names_are_those_of_the_checkpoint(tmp_path, task):
    suffix = {"detect": "", "segment": "-seg", "classify": "-cls"}.get(task, f"-{task}")
    net = YOLO(f"yolo26n{suffix}.yaml")
    net.model.names = {index: f"class {index}" for index in range(len(net.model.names))}
    net.save(tmp_path / "a.pt")
    with LoadedModel(tmp_path / "a.pt", settings=SETTINGS) as loaded:
        assert (loaded.task, loaded.names[1]) == (task, "class 1")
        [square, wide] = loaded.predict([np.zeros((64, 64, 3), np.uint8), np.zeros((48, 80, 3), np.uint8)])
    if task == "classify":
        assert square.shape == wide.shape == (len(loaded.names),)
        assert square.sum() == pytest.approx(1, abs=1e-3)
    else:
        assert square.boxes.shape[1:] == (4,)


def test_an_exported_file_gives_the_same_detections_as_its_checkpoint(exported):
    square = [image for image in _images() if image.shape == (64, 64, 3)]
    with LoadedModel(WEIGHTS, settings=SETTINGS) as one, LoadedModel(exported, settings=SETTINGS) as other:
        assert (one.task, one.names) == (other.task, other.names)
        assert len(other.predict(_images())) == 6
        first, second = one.predict(square), other.predict(square)
    for left, right in zip(first, second, strict=True):
        sure = left.scores > 0.1
        assert sure.any()
        np.testing.assert_allclose(left.boxes[sure], right.boxes[: sure.sum()], atol=0.5)


def test_an_exported_file_of_fixed_size_is_not_fed_another_size(exported):
    facts = read_export_facts(exported)
    assert (facts.task, facts.imgsz, facts.batch) == ("detect", (64, 64), 1)
    with pytest.raises(UserError, match=r"takes images of 64 pixels only: imgsz=96"):
        LoadedModel(exported, settings=SETTINGS | {"imgsz": 96})


@pytest.mark.fault(1, "a file that is no exported model")
@pytest.mark.parametrize("name", ["a.onnx", "a.torchscript", "a.engine", "a.txt", "a_openvino_model"])
def test_a_foreign_file_is_refused_in_one_sentence(tmp_path, name):
    path = tmp_path / name
    if "." in name:
        path.write_bytes(b"no model")
    else:
        path.mkdir()
    with pytest.raises(UserError, match="does not say its task") as refusal:
        LoadedModel(path, settings=SETTINGS)
    assert "\n" not in str(refusal.value)


def test_a_model_of_another_task_is_refused(exported):
    for weights in (WEIGHTS, exported):
        with pytest.raises(UserError, match="trained for detect"):
            LoadedModel(weights, task="pose", settings=SETTINGS)


def test_a_closed_model_predicts_no_more():
    model = LoadedModel(WEIGHTS, settings=SETTINGS)
    model.predict(_images()[:1])
    model.close()
    model.close()
    with pytest.raises(RuntimeError):
        model.predict(_images()[:1])


def _mosaic(columns, rows):
    """An image of known objects, one in the middle of each square of 64 pixels, some across a border."""
    image = np.random.default_rng(0).integers(0, 60, (rows * 64, columns * 64, 3), dtype=np.uint8)
    part, _ = draw_objects(np.array([1]), pixels=64, rng=np.random.default_rng(3))
    for row in range(rows):
        for column in range(columns):
            image[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64] = part
    return image


def test_tiles_of_an_image_are_predicted_on_as_images(model, tmp_path):
    """Tiles without an object at a border: their detections are those of the parts, moved."""
    image = _mosaic(3, 2)
    with LoadedModel(WEIGHTS, settings=SETTINGS | {"tile": 64, "overlap": 0.001, "max_det": 1000}) as tiled:
        [found] = tiled.predict([image])
        [small] = tiled.predict([image[:50, :50]])
    [alone] = model.predict([image[:64, :64]])
    best = alone.boxes[0]
    for row in range(2):
        for column in range(3):
            moved = best + np.array([column * 64, row * 64] * 2)
            assert np.abs(found.boxes - moved).max(axis=1).min() < 2
    _assert_same([small], model.predict([image[:50, :50]]))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    how = SETTINGS | {"tile": 64, "overlap": 0.001, "max_det": 1000}
    _assert_same([found], list(predict_detections(WEIGHTS, [tmp_path / "a.png"], **how)))
    assert (np.diff(found.scores) <= 0).all()


def test_tiles_of_masks_have_outlines(tmp_path):
    torch.manual_seed(0)
    net = YOLO("yolo26n-seg.yaml")
    net.save(tmp_path / "a.pt")
    how = SETTINGS | {"tile": 64, "overlap": 0.2, "conf": 0.0}
    with LoadedModel(tmp_path / "a.pt", settings=how) as tiled:
        [found] = tiled.predict([_mosaic(2, 2)])
    assert 0 < len(found.boxes) == len(found.masks) <= 20
    assert len(found.outlines) == len(found.masks)


def test_classes_of_whole_images_have_no_tiles(tmp_path):
    YOLO("yolo26n-cls.yaml").save(tmp_path / "a.pt")
    with pytest.raises(UserError, match="tiles"):
        LoadedModel(tmp_path / "a.pt", settings=SETTINGS | {"tile": 64})
