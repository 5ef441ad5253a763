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


def test_defaults_are_those_of_own_images(results, tmp_path):
    terms = results.Terms(tmp_path, {}, epochs=100, changes=("finetune.patience=0",))
    found = {}
    for method in ("full", "defaults"):
        folder = results.cells.begin(results.Cell("demo", "foundation", method, 0), terms)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        finetune, augment = params["finetune"], params["augment"]
        found[method] = (finetune["epochs"], finetune["patience"], augment["offline"]["multiplier"])
    assert found == {"full": (100, 0, 1), "defaults": ("auto", 10, 2)}


def test_only_trainings_with_the_same_seed_are_compared(results):
    plain = [results.Cell("bccd", "yolov8n", "yolo train", seed) for seed in (0, 1, 2)]
    full = [results.Cell("bccd", "yolov8n", "full", seed) for seed in (3, 2, 1)]
    pairs = results.pair_with_stock({*plain, *full}, results.Method("bccd", "yolov8n", "full"))
    assert pairs == [*zip(plain[1:], full[:0:-1], strict=True)]


def build_result(results: Any, accuracy: float) -> Any:
    test = {"mAP50-95": accuracy, "mAP50-95_low": 0.1, "mAP50-95_high": 0.9, "mAP50": 0.8}
    curve = results.seconds.Curve([10.5, 20.25], [0.1, accuracy])
    return results.Result(test, {"wall": 30.0, "cpu": 40.0}, curve, "a processor, 1 of 2 cores")


def test_same_time_is_that_of_the_training_without_start_up(results, tmp_path):
    store = results.Store(256, 20, tmp_path / "results.jsonl")
    store.add_result(results.Cell("bccd", "yolov8n", "yolo train", 2), build_result(results, 0.5))
    assert results.read_stock_seconds(store, results.Cell("bccd", "yolov8n", "same time", 2)) == 20.25


def test_kept_results_are_read_again_and_shown(results, tmp_path):
    path = tmp_path / "results.jsonl"
    store = results.Store(256, 20, path)
    for seed in (1, 0):
        for method, accuracy in (("yolo train", 0.5), ("full", 0.6)):
            store.add_result(
                results.Cell("bccd", "yolov8n", method, seed), build_result(results, accuracy + seed / 10)
            )
    method = results.Method("bccd", "yolov8n", "full")
    for value in (0.2, 0.1):
        store.add_difference(method, results.Difference(value, 0.05, 0.25, (0, 1)))
    store.add_difference(method, results.Difference(0.1, 0.05, 0.25, (0, 1)))
    assert len(path.read_text().splitlines()) == 6

    again = results.Store(256, 20, path)
    assert again.results == store.results
    assert again.differences == {method: results.Difference(0.1, 0.05, 0.25, (0, 1))}
    assert not results.Store(320, 20, path).results
    page = results.results_page.render(again, [], curves="")
    assert "Machine: a processor, 1 of 2 cores; no GPU" in page
    row = "| full | 2 | 0.600 / 0.700, mean 0.650 [0.100, 0.900] | +0.100 (+0.050 to +0.250) | 0.800 | 30 |"
    assert row in page
    assert "| full | +0.100 (+0.000 to +0.200) | +0.100 (+0.050 to +0.250) |" in page

    store.add_result(results.Cell("bccd", "yolov8n", "full", 2), build_result(results, 0.3))
    assert not store.differences  # it was that of two seeds
    assert not results.Store(256, 20, path).differences


def test_results_at_another_size_have_tables_of_their_own(results, tmp_path):
    path = tmp_path / "results.jsonl"
    for pixels, accuracy in ((320, 0.65), (256, 0.6)):
        store = results.Store(pixels, 20, path)
        store.add_result(results.Cell("bccd", "yolov8n", "full", 0), build_result(results, accuracy))
        difference = results.Difference(accuracy - 0.5, 0.05, 0.25, (0,))
        store.add_difference(results.Method("bccd", "yolov8n", "full"), difference)
    assert results.list_terms(path) == [(256, 20), (320, 20)]
    page = results.results_page.render(store, [results.Store(320, 20, path)], curves="")
    assert "| from yolov8n, at 320 px |" in page
    table, heading, larger = page.partition("## bccd, from yolov8n, at 320 px")
    assert heading
    assert "| full | 1 | 0.650 [0.100, 0.900] | +0.150 (+0.050 to +0.250) |" in larger
    assert "| full | 1 | 0.600 [0.100, 0.900] | +0.100 (+0.050 to +0.250) |" in table
