"""The names of trainings in benchmarks, their configurations, and which of them are compared."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def results(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("results")


def test_the_name_of_a_folder_gives_back_its_training(results):
    for method in results.METHODS:
        cell = results.Cell("rbc-coco", "yolov8n", method, 1)
        assert results.cells.named(cell.name) == cell


def test_every_method_has_a_configuration(results, tmp_path):
    found = {}
    for method in results.METHODS:
        terms = results.Terms(tmp_path, {}, changes=("finetune.time=0.5",))
        folder = results.cells.begin(results.Cell("demo", "foundation", method, 0), terms)
        found[method] = yaml.safe_load((folder / "params.yaml").read_text())["finetune"]["strategy"]
    assert (found["yolo train"], found["same time"], found["head"]) == ("full", "full", "head")


def test_only_trainings_with_the_same_seed_are_compared(results):
    plain = [results.Cell("bccd", "yolov8n", "yolo train", seed) for seed in (0, 1, 2)]
    full = [results.Cell("bccd", "yolov8n", "full", seed) for seed in (1, 2, 3)]
    pairs = results.pair_with_stock({cell: {} for cell in (*plain, *full)}, "bccd", "yolov8n", "full")
    assert pairs == [*zip(plain[1:], full[:2], strict=True)]


def test_same_time_is_that_of_the_training_without_start_up(results, tmp_path):
    cell = results.Cell("bccd", "yolov8n", "same time", 2)
    folder = tmp_path / results.Cell("bccd", "yolov8n", "yolo train", 2).name / "yolo/run"
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text("epoch,time,metrics/mAP50-95(B)\n1,10.5,0.1\n2,20.25,0.2\n")
    assert results.read_stock_seconds(tmp_path, cell) == 20.25
