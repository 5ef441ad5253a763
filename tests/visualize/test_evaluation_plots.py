"""Calibration and slices are drawn without a warning for any number of predictions and slices."""

import numpy as np
import pytest
from PIL import Image

from pipeline.visualize.evaluation_plots import plot_reliability, plot_slices


def extent(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("empty", [False, True])
def test_calibration_is_plotted_with_and_without_predictions(tmp_path, empty):
    counts = np.zeros(10, np.int64) if empty else np.arange(10)
    means = np.where(counts, np.linspace(0.05, 0.95, 10), np.nan)
    for name in ("a.png", "b.png"):
        error = None if empty else 0.1
        plot_reliability((counts, means, means**2), tmp_path / name, title="Calibration", error=error)
    assert extent(tmp_path / "a.png") == (806, 832)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("names", [["a=1"], [f"$folder$=ÄÖ {number}" for number in range(60)]])
def test_any_number_of_slices_is_plotted(tmp_path, names):
    values = np.linspace(0, 1, len(names)).tolist()
    plot_slices(names, values, tmp_path / "slices.png", metric="mAP50-95", overall=0.5)
    assert extent(tmp_path / "slices.png")[0] == 962
