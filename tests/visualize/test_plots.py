"""Plots are drawn without a warning for any number of classes and epochs."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline.visualize.plots import (
    LINE_COLORS,
    ClassCurves,
    plot_confusion_matrix,
    plot_f1_confidence,
    plot_precision_recall,
    plot_training_curves,
)

X = np.linspace(0, 1, 11)


def drawn(path):
    """Return the size of a picture and its number of colors."""
    with Image.open(path) as image:
        return image.size, len(image.convert("RGB").getcolors(1 << 24))


def curves(count):
    lines = {f"class {index}": X ** (index + 1) for index in range(count)}
    return ClassCurves(X, lines, X, {"class 0": "AP50 0.500"}, "mAP50 0.500")


@pytest.mark.parametrize("count", [1, 4, 8, 9, 80])
def test_curves_of_any_number_of_classes_are_plotted(tmp_path, count):
    plot_precision_recall(curves(count), tmp_path / "pr.png")
    plot_f1_confidence(curves(count), tmp_path / "f1.png", threshold=0.25)
    for name in ("pr.png", "f1.png"):
        extent, colors = drawn(tmp_path / name)
        assert extent == (1118, 702)
        assert colors > 50


@pytest.mark.parametrize("count", [1, 4, 45])
def test_confusion_matrix_of_any_size_is_plotted(tmp_path, count):
    matrix = np.eye(count + 1, dtype=np.int64) * 7
    names = [f"a long class name {index}" for index in range(count)] + ["background"]
    plot_confusion_matrix(matrix, names, tmp_path / "confusion.png", title="Confusion")
    extent, _ = drawn(tmp_path / "confusion.png")
    assert 500 < extent[0] <= 2000


@pytest.mark.parametrize("count", [2, 45])
def test_confusion_matrix_without_background_is_plotted(tmp_path, count):
    names = [f"class {index}" for index in range(count)]
    plot_confusion_matrix(
        np.eye(count, dtype=np.int64), names, tmp_path / "c.png", title="Confusion", background=False
    )
    assert 400 < drawn(tmp_path / "c.png")[0][0] <= 2000


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_training_curves_with_missing_values_are_plotted(tmp_path, epochs):
    rows = [
        f"{epoch},{1 / epoch},{2 / epoch},0.001,{'' if epoch == 2 else 0.5}" for epoch in range(1, epochs + 1)
    ]
    text = "\n".join(["epoch,train/box_loss,val/box_loss,lr/weight,metrics/mAP50-95", *rows])
    (tmp_path / "epochs.csv").write_text(text)
    plot_training_curves(tmp_path / "epochs.csv", tmp_path / "curves.png")
    assert drawn(tmp_path / "curves.png")[0] == (1638, 403)  # three panels: mAP, loss, learning rate


def test_curve_connects_the_epochs_that_have_values(tmp_path):
    pixels = []
    for every in (1, 5):
        rows = [f"{epoch},{0.5 if epoch % every == 0 else ''}" for epoch in range(1, 31)]
        (tmp_path / "epochs.csv").write_text("\n".join(["epoch,metrics/mAP50-95", *rows]))
        plot_training_curves(tmp_path / "epochs.csv", tmp_path / "curves.png")
        line = ImageColor.getrgb(LINE_COLORS[0])
        with Image.open(tmp_path / "curves.png") as image:
            pixels += [count for count, color in image.convert("RGB").getcolors(1 << 24) if color == line]
    assert pixels[1] > 0.8 * pixels[0]


def test_same_curves_give_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        plot_precision_recall(curves(3), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
