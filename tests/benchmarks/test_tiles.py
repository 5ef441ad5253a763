"""The tiles that a benchmark cuts, and the labels of each."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from pipeline.dataset.labels import ImageLabels, xyxy_to_xywhn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_an_object_is_on_the_tiles_that_show_enough_of_it(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    tiles = importlib.import_module("tiles")
    corners = np.array([[10, 10, 30, 30], [90, 120, 110, 140], [99, 20, 119, 40]], float)
    labels = ImageLabels(np.array([0, 1, 2]), xyxy_to_xywhn(corners, 200, 200))

    found = {tile[:2]: own for tile, own in tiles.cut_labels(labels, (200, 200), 100)}

    assert {place: own.classes.tolist() for place, own in found.items()} == {
        (0, 0): [0],
        (100, 0): [2],
        (0, 100): [1],
        (100, 100): [1],
    }
    np.testing.assert_allclose(found[100, 100].boxes, [[0.05, 0.3, 0.1, 0.2]])
    np.testing.assert_allclose(found[100, 0].boxes, [[0.095, 0.3, 0.19, 0.2]])
