"""The checkpoint that is exported: its classes are those of the data, and its files have names that fit."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from ultralytics.nn.tasks import ClassificationModel

from pipeline.export.model_source import open_source
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import PreparedData
from tests.builders import prepared_dataset

CODES = ("n01440764", "n02102040")


def open_file(weights, manifest, root):
    iteration = Iteration(weights.name, "file", weights.name, file=weights)
    return open_source(iteration, weights, PreparedData(manifest, root))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A classifier whose classes are codes of ImageNet."""
    torch.manual_seed(0)
    model = ClassificationModel("yolo26n-cls.yaml", nc=2, verbose=False)
    model.names = dict(enumerate(CODES))
    path = tmp_path_factory.mktemp("weights") / "a.pt"
    torch.save({"model": model, "train_args": {"task": "classify", "imgsz": 64}}, path)
    return path


@pytest.fixture
def manifest(tmp_path):
    drawn = prepared_dataset(tmp_path / "data/prepared", images={"test": 1}, pixels=64, classes=CODES)
    return replace(drawn, task="classify")


@pytest.mark.fault(13, "a model cannot be exported, since its classes are codes of ImageNet")
def test_classes_that_are_codes_of_imagenet_are_those_of_the_data(tmp_path, weights, manifest):
    assert open_file(weights, manifest, tmp_path).names == CODES


@pytest.mark.fault(10, "the name of a checkpoint is as long as a disk allows")
def test_exported_files_of_a_long_name_have_names_that_fit(tmp_path, weights, manifest):
    copy = shutil.copy(weights, tmp_path / f"{'a' * 252}.pt")
    assert open_file(copy, manifest, tmp_path).stem == "a" * 150
