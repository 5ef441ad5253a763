"""evaluate.forget: base weights and fine-tuned ones on the classes that both know."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import ClassificationModel, DetectionModel, PoseModel

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.model import ModelConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.tasks import Keypoints
from pipeline.dataset.manifest import Manifest, list_learnt_images, serialize_manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.evaluate.forgetting import (
    describe_forgetting,
    measure_forgetting,
    plan_forgetting,
)
from pipeline.evaluate.old_data import find_old_data_digest
from pipeline.storage.files import hash_file
from tests.builders import prepared_dataset

TUNED = Path("best.pt")


def save_detector(path, names):
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": 64}}, path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of discs, squares and bars, and others of classes of which the data has none."""
    folder = tmp_path_factory.mktemp("weights")
    save_detector(folder / "best.pt", ("disc", "square", "bar"))
    save_detector(folder / "other.pt", ("person", "bus"))
    return folder


@pytest.fixture(autouse=True)
def _project(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for file in weights.iterdir():
        shutil.copy(file, tmp_path)
    prepared_dataset(PREPARED_FOLDER, images={"train": 1, "val": 1, "test": 4}, pixels=64)


def build_config(forget, base="best.pt"):
    how = {
        "conf": 0.001,
        "iou": 0.7,
        "max_det": 50,
        "batch": 4,
        "bootstrap": 20,
        "tile": None,
        "overlap": 0.2,
    }
    return Config.model_construct(
        seed=0,
        model=ModelConfig.model_construct(weights=base, folder=None),
        evaluate=EvaluateConfig.model_construct(forget=forget, **how),
        finetune=FinetuneConfig.model_construct(imgsz=64, device="cpu", threads=1),
    )


def measure(forget, base="best.pt", sha256="", task="detect", **trained_on):
    facts = {"name": "base", "weights": base, "sha256": sha256 or hash_file(Path(base))}
    trained = {"task": task, "names": ["disc", "square", "bar"], "base": facts, **trained_on}
    config = build_config(forget, base)
    plan = plan_forgetting(config, trained)
    return plan and measure_forgetting(config, plan, TUNED)


def test_weights_that_did_not_change_have_forgotten_nothing():
    assert measure(None) is None
    found = measure("base")
    assert (found["on"], found["metric"], found["images"]) == ("test", "mAP50-95", 4)
    assert found["base"] == found["finetuned"]
    assert found["difference_low"] < found["difference"] == 0 < found["difference_high"]
    assert found["classes"] == len(found["per_class"]) > 0
    assert "+0.000" in describe_forgetting(found)


def test_the_test_split_of_another_prepared_dataset_counts():
    prepared_dataset(Path("old"), images={"train": 1, "val": 1, "test": 2}, pixels=64, classes=("disc",))
    found = measure("old")
    assert (found["on"], found["images"], [*found["per_class"]]) == ("old", 2, ["disc"])
    digest = find_old_data_digest("old")
    prepared_dataset(Path("old"), images={"train": 1, "val": 1, "test": 3}, pixels=64, classes=("disc",))
    assert find_old_data_digest("old") != digest
    assert find_old_data_digest("base") is find_old_data_digest(None) is None


def copy_image(source, target):
    """Replace the first test image of a prepared dataset by a train image of another one."""
    seen = read_manifest(source).in_split("train")[0]
    old = read_manifest(target)
    place = old.items.index(old.in_split("test")[0])
    changed = replace(old.items[place], sha256=seen.sha256)
    items = (*old.items[:place], changed, *old.items[place + 1 :])
    shutil.copy(source / "images" / seen.file, target / "images" / changed.file)
    (target / "manifest.json").write_text(serialize_manifest(replace(old, items=items)))


def test_images_that_were_trained_on_are_no_measure_of_what_was_forgotten():
    """As where old images are mixed in against forgetting, and the mixture is split anew."""
    prepared_dataset(Path("old"), images={"train": 1, "val": 1, "test": 2}, pixels=64, classes=("disc",))
    copy_image(PREPARED_FOLDER, Path("old"))
    found = measure("old")
    assert (found["images"], found["known_images"]) == (1, 1)
    assert "without 1 of its test images" in describe_forgetting(found)
    prepared_dataset(Path("older"), images={"train": 1, "val": 1, "test": 1}, pixels=64, classes=("disc",))
    copy_image(PREPARED_FOLDER, Path("older"))
    with pytest.raises(UserError, match="are all in train or val"):
        measure("older")


def test_images_that_were_trained_on_are_left_out_although_the_data_was_prepared_anew():
    old = prepared_dataset(Path("old"), images={"train": 1, "val": 1, "test": 2}, pixels=64)
    moved = replace(old.in_split("test")[0], file="train/seen.png")
    learnt = list_learnt_images(Manifest("detect", old.names, (moved,)))
    found = measure("old", images=learnt)
    assert (found["images"], found["known_images"]) == (1, 1)


def test_the_group_of_an_image_that_was_trained_on_is_left_out():
    folder = Path("other/data/prepared")
    old = prepared_dataset(folder, images={"train": 1, "val": 1, "test": 3}, pixels=64, classes=("disc",))
    copy_image(PREPARED_FOLDER, folder)
    copied = read_manifest(folder).in_split("test")
    assert measure(str(folder))["images"] == 2
    Path("other/data/columns").mkdir()
    groups = {item.file: "apart" for item in old.items} | {each.file: "video" for each in copied[:2]}
    rows = {file: {"group": group} for file, group in groups.items()}
    text = json.dumps({"digest": read_manifest(folder).digest, "images": rows})
    Path("other/data/columns/images.json").write_text(text)
    found = measure(str(folder))
    assert (found["images"], found["known_images"]) == (1, 2)


def test_models_without_a_common_class_are_no_error():
    found = measure("base", base="other.pt")
    assert found == {"on": "test", "metric": "mAP50-95", "classes": 0}
    assert "share too few classes" in describe_forgetting(found)


def save_classifier(path, names):
    torch.manual_seed(len(names))
    model = ClassificationModel("yolo26n-cls.yaml", nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "classify", "imgsz": 64}}, path)


def test_classifiers_are_compared_on_the_images_of_the_classes_that_both_know():
    counts = {"train": 1, "val": 1, "test": 6}
    drawn = prepared_dataset(PREPARED_FOLDER, images=counts, pixels=64, objects=(1, 1))
    manifest = replace(drawn, task="classify")
    (PREPARED_FOLDER / "manifest.json").write_text(serialize_manifest(manifest))
    save_classifier(TUNED, ("disc", "square", "bar"))
    save_classifier(Path("base.pt"), ("cat", "Square", "disc"))
    same = measure("base", task="classify")
    assert (same["metric"], same["base"], same["difference"]) == ("top1", same["finetuned"], 0)
    found = measure("base", base="base.pt", task="classify")
    images = [image for image in manifest.in_split("test") if image.classes[0] != 2]
    assert found["images"] == len(images) > 0
    assert set(found["per_class"]) <= {"disc", "square"}
    assert found["difference_low"] <= found["difference"] <= found["difference_high"]
    save_classifier(Path("base.pt"), ("cat", "disc"))
    assert measure("base", base="base.pt", task="classify")["classes"] == 0


@pytest.mark.parametrize(
    "base", [("tench", "n99999999", "English_springer"), ("n02102040", "dog", "n01440764")]
)
def test_codes_of_imagenet_and_their_words_are_shared_classes(base):
    codes = ("n01440764", "n02102040", "bar")
    counts = {"train": 1, "val": 1, "test": 6}
    drawn = prepared_dataset(PREPARED_FOLDER, images=counts, pixels=64, objects=(1, 1), classes=codes)
    (PREPARED_FOLDER / "manifest.json").write_text(serialize_manifest(replace(drawn, task="classify")))
    save_classifier(TUNED, codes)
    save_classifier(Path("base.pt"), base)
    found = measure("base", base="base.pt", task="classify", names=[*codes])
    assert {*found["per_class"]} <= {*codes[:2]}
    assert found["images"] == sum(image.classes[0] != 2 for image in drawn.in_split("test")) > 0


def test_what_cannot_be_measured_is_said():
    with pytest.raises(UserError, match="does not exist"):
        measure("nowhere")
    Path("raw").mkdir()
    with pytest.raises(UserError, match=r"is no prepared dataset.*dvc repro prepare"):
        measure("raw")
    with pytest.raises(UserError, match="is not what the training started from"):
        measure("base", sha256="0" * 64)
    save_classifier(Path("base.pt"), ("disc", "square"))
    with pytest.raises(UserError, match=r"base\.pt are for classify, and the images for detect"):
        measure("base", base="base.pt")


def test_a_base_of_other_keypoints_is_refused_before_the_evaluation():
    manifest = read_manifest(PREPARED_FOLDER)
    points = Keypoints(("a", "b"), (0, 1))
    (PREPARED_FOLDER / "manifest.json").write_text(
        serialize_manifest(replace(manifest, task="pose", keypoints=points))
    )
    model = PoseModel("yolo26n-pose.yaml", nc=1, data_kpt_shape=(17, 3), verbose=False)
    model.names = {0: "disc"}
    torch.save({"model": model, "train_args": {"task": "pose", "imgsz": 64}}, "base.pt")
    with pytest.raises(UserError, match=r"poses of 17 keypoints, and the images for poses of 2 keypoints"):
        measure("base", base="base.pt", task="pose")


def test_groups_of_the_old_images_widen_the_interval_and_change_its_identity():
    folder = Path("other/data/prepared")
    old = prepared_dataset(folder, images={"train": 1, "val": 1, "test": 6}, pixels=64, classes=("disc",))
    apart, before = measure(str(folder)), find_old_data_digest(str(folder))
    Path("other/data/columns").mkdir()
    rows = {item.file: {"group": "video"} for item in old.items}
    text = json.dumps({"digest": old.digest, "images": rows})
    Path("other/data/columns/images.json").write_text(text)
    together = measure(str(folder))
    assert together["difference_high"] > apart["difference_high"] > 0
    assert find_old_data_digest(str(folder)) != before
    Path("other/data/columns/images.json").write_text("half")
    with pytest.raises(UserError, match="data/columns"):
        measure(str(folder))
