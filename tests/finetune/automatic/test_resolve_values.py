"""Values that are auto become numbers that fit the data, and that are checked as a user's are."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.config.schema import Config, ConfigError, parse_config
from pipeline.core.tasks import TASKS
from pipeline.dataset.augmentation_records import AugmentationRecords, AugmentedImage
from pipeline.dataset.labels import ImageLabels, format_labels
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.finetune.automatic.object_sizes import MAX_IMAGES_READ, measure_object_shares, select_evenly
from pipeline.finetune.automatic.resolve_values import (
    AutomaticValue,
    resolve_data_values,
    resolve_image_size,
    set_automatic_values,
)
from pipeline.finetune.stage import collect_train_arguments
from tests import task_sets, trainings


@cache
def compose_values() -> Any:
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        return OmegaConf.to_container(compose("config"), resolve=True)


def configure(**finetune: Any) -> Config:
    values = copy.deepcopy(compose_values())
    values["finetune"] |= finetune
    return parse_config(values)


def write_boxes(folder: Path, shares: list[float], *, side: int, split: str = "train") -> ImageRecord:
    """Write the labels of an image twice as wide as high; a box has the same share of width and height."""
    boxes = np.array([[0.5, 0.5, share, share] for share in shares])
    path = folder / f"labels/{split}/a.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(format_labels(ImageLabels(np.zeros(len(shares), np.int64), boxes)))
    return ImageRecord(f"{split}/a.png", "", "", side, side // 2, (0,) * len(shares), "a.png")


def test_objects_are_measured_against_the_longer_side(tmp_path):
    manifest = Manifest("detect", ("a",), (write_boxes(tmp_path, [0.1, 0.5], side=1000),))
    assert measure_object_shares(tmp_path, manifest) == pytest.approx(np.array([0.1, 0.5]) / 2**0.5)


def test_objects_of_val_and_test_decide_nothing(tmp_path):
    items = (
        write_boxes(tmp_path, [0.3] * 9, side=1280),
        write_boxes(tmp_path, [0.001] * 90, side=4000, split="val"),
        write_boxes(tmp_path, [0.001] * 90, side=4000, split="test"),
    )
    assert resolve_image_size(Manifest("detect", ("a",), items), tmp_path).pixels == 320


@pytest.mark.parametrize("task", TASKS)
def test_every_task_gets_a_size_that_its_images_have(tmp_path, task):
    manifest = task_sets.prepared(tmp_path, task, images={"train": 3}, pixels=160)
    assert resolve_image_size(manifest, tmp_path).pixels == 160


def test_turned_boxes_are_measured_by_their_own_sides(tmp_path):
    turned = Manifest("obb", ("a",), (write_boxes(tmp_path, [], side=200),))
    [item] = turned.items
    corners = np.array([[0.5, 0.2], [0.8, 0.8], [0.76, 0.84], [0.46, 0.24]])
    labels = ImageLabels(np.zeros(1, np.int64), np.zeros((1, 4)), (corners,))
    (tmp_path / "labels/train/a.txt").write_text(format_labels(labels, "obb"))
    turned = replace(turned, items=(replace(item, classes=(0,)),))
    long, short = np.hypot(0.3 * 200, 0.6 * 100), np.hypot(0.04 * 200, 0.04 * 100)
    assert measure_object_shares(tmp_path, turned) == pytest.approx([(long * short) ** 0.5 / 200], rel=1e-4)


def test_of_many_images_some_are_read_evenly():
    items = [ImageRecord(f"train/{number}", "", "", 1, 1, (), "") for number in range(3 * MAX_IMAGES_READ)]
    chosen = select_evenly(items, MAX_IMAGES_READ)
    assert (len({*chosen}), chosen[0], chosen[-1]) == (MAX_IMAGES_READ, items[0], items[-1])
    assert select_evenly(items[:7], MAX_IMAGES_READ) == items[:7]


def test_numbers_stay_and_auto_becomes_what_the_data_give(tmp_path):
    manifest = task_sets.prepared(tmp_path, "detect", images={"train": 8}, pixels=64)
    copied = AugmentedImage("train/a_a1.png", "train/a.png", 0, {}, (), 0, "", "")
    copies = AugmentationRecords("", (copied,) * 8)
    fixed = configure()
    assert resolve_data_values(fixed, manifest, copies, folder=tmp_path) == []
    assert set_automatic_values(fixed, []) is fixed
    config = configure(imgsz="auto", epochs="auto", lr0="auto")
    found = resolve_data_values(config, manifest, copies, folder=tmp_path)
    assert [(value.key, value.value) for value in found] == [("imgsz", 64), ("epochs", 170)]
    resolved = set_automatic_values(config, [*found, AutomaticValue("lr0", 0.0012, "a reason")])
    assert resolved == configure(imgsz=64, epochs=170, lr0=0.0012)
    assert json.loads(resolved.model_dump_json())["finetune"]["imgsz"] == 64


def test_with_a_time_limit_no_number_of_epochs_is_chosen(tmp_path):
    """Nobody trains for that many; the clock decides."""
    manifest = task_sets.prepared(tmp_path, "detect", images={"train": 8}, pixels=64)
    config = configure(imgsz="auto", epochs="auto", time=0.5)
    found = resolve_data_values(config, manifest, AugmentationRecords("", ()), folder=tmp_path)
    assert [value.key for value in found] == ["imgsz"]
    planned = collect_train_arguments(set_automatic_values(config, found))["epochs"]
    assert isinstance(planned, int)
    assert collect_train_arguments(configure(epochs=7, time=0.5))["epochs"] == planned
    assert collect_train_arguments(configure(epochs=7))["epochs"] == 7


def test_a_number_that_does_not_fit_the_other_values_is_refused():
    gradual = {"trigger": "schedule", "every": 9, "stall": 3, "groups": 5, "decay": 0.7}
    config = configure(epochs="auto", strategy="gradual", gradual=gradual)
    with pytest.raises(
        ConfigError, match=r"^finetune\.epochs=auto gives 30, but finetune\.epochs=30 ends before"
    ):
        set_automatic_values(config, [AutomaticValue("epochs", 30, "a reason")])
