"""Statistics per split, and the choice of representative images."""

import numpy as np

from pipeline.prepare.report.statistics import ImageStatistics, describe_splits, select_representatives
from pipeline.prepare.splits.stratify import SplitSample


def boxes(*extents: list[float]):
    """Return boxes of these widths and heights, at (5, 5)."""
    return np.array([[5, 5, 5 + width, 5 + height] for width, height in extents], np.float64)


def test_split_is_described_by_counts_and_quantiles():
    images = [
        ImageStatistics("train", (100, 50), [0, 0, 1], boxes([10.0, 10], [50, 25], [20, 10])),
        ImageStatistics("train", (100, 50), [], np.zeros((0, 4))),
        ImageStatistics("test", (64, 64), [], np.zeros((0, 4))),
    ]
    found = describe_splits(images, ["a", "b"])
    train = found["train"]
    assert (train["images"], train["objects"], train["backgrounds"]) == (2, 3, 1)
    assert train["classes"] == {"a": 2, "b": 1}
    assert train["objects_per_image"]["max"] == 3
    assert train["box_area_share"] == {"min": 0.02, "p25": 0.03, "median": 0.04, "p75": 0.145, "max": 0.25}
    assert train["box_aspect"]["min"] == 1
    assert train["box_aspect"]["max"] == 2
    assert found["test"]["box_area_share"] == {}
    assert list(found) == ["train", "test"]


def test_representatives_include_every_class():
    samples = [SplitSample(f"{number:02d}", "", frozenset({0})) for number in range(50)]
    samples += [SplitSample("rare", "", frozenset({2})), SplitSample("both", "", frozenset({0, 1}))]
    for seed in range(5):
        assert {"rare", "both"} <= set(select_representatives(samples, 4, seed=seed))
    assert (
        len(select_representatives(samples, 4, seed=0))
        == len(set(select_representatives(samples, 4, seed=0)))
        == 4
    )
    assert select_representatives(samples, 4, seed=0) != select_representatives(samples, 4, seed=1)
    assert select_representatives(reversed(samples), 4, seed=0) == select_representatives(samples, 4, seed=0)
    assert select_representatives(samples, 0, seed=0) == []
    assert len(select_representatives(samples[:2], 4, seed=0)) == 2
