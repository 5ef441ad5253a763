"""Pictures of evaluations and trainings: drawn without a warning, however many classes and epochs."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.paths import TRAINING_PLOTS
from pipeline.evaluate import error_pictures
from pipeline.evaluate.error_pictures import COLOURS, MARGIN, NARROWEST, SIDE
from pipeline.evaluate.metrics.error_types import judge
from pipeline.finetune.outputs import write_curves
from pipeline.visualize import plots
from pipeline.visualize.plots import COLOURS as plots_COLOURS
from pipeline.visualize.plots import ClassCurves, f1_confidence, precision_recall, training_curves

X = np.linspace(0, 1, 11)


def drawn(path):
    """Return the picture's extent and how many colours it has."""
    with Image.open(path) as image:
        return image.size, len(image.convert("RGB").getcolors(1 << 24))


def curves(count):
    lines = {f"class {index}": X ** (index + 1) for index in range(count)}
    return ClassCurves(X, lines, X, {"class 0": "AP50 0.500", "mean": "mAP50 0.500"})


@pytest.mark.parametrize("count", [1, 4, 8, 9, 80])
def test_curves_of_any_number_of_classes(tmp_path, count):
    precision_recall(curves(count), tmp_path / "pr.png")
    f1_confidence(curves(count), tmp_path / "f1.png", threshold=0.25)
    for name in ("pr.png", "f1.png"):
        extent, colours = drawn(tmp_path / name)
        assert extent == (1118, 702)
        assert colours > 50


@pytest.mark.parametrize("count", [1, 4, 45])
def test_confusion_of_any_number_of_classes(tmp_path, count):
    matrix = np.eye(count + 1, dtype=np.int64) * 7
    names = [f"a long class name {index}" for index in range(count)] + ["background"]
    plots.confusion(matrix, names, tmp_path / "confusion.png", title="Confusion")
    extent, _ = drawn(tmp_path / "confusion.png")
    assert 500 < extent[0] <= 2000


@pytest.mark.parametrize("count", [2, 45])
def test_confusion_without_a_background(tmp_path, count):
    names = [f"class {index}" for index in range(count)]
    plots.confusion(
        np.eye(count, dtype=np.int64), names, tmp_path / "c.png", title="Confusion", background=False
    )
    assert 400 < drawn(tmp_path / "c.png")[0][0] <= 2000


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_training_curves_of_any_number_of_epochs_with_blanks(tmp_path, epochs):
    rows = [
        f"{epoch},{1 / epoch},{2 / epoch},0.001,{'' if epoch == 2 else 0.5}" for epoch in range(1, epochs + 1)
    ]
    text = "\n".join(["epoch,train/box_loss,val/box_loss,lr/weight,metrics/mAP50-95", *rows])
    (tmp_path / "epochs.csv").write_text(text)
    training_curves(tmp_path / "epochs.csv", tmp_path / "curves.png")
    assert drawn(tmp_path / "curves.png")[0] == (1638, 403)  # three panels: mAP, loss, learning rate


def test_a_curve_that_not_every_epoch_has_is_drawn_through(tmp_path):
    pixels = []
    for every in (1, 5):
        rows = [f"{epoch},{0.5 if epoch % every == 0 else ''}" for epoch in range(1, 31)]
        (tmp_path / "epochs.csv").write_text("\n".join(["epoch,metrics/mAP50-95", *rows]))
        training_curves(tmp_path / "epochs.csv", tmp_path / "curves.png")
        line = ImageColor.getrgb(plots_COLOURS[0])
        with Image.open(tmp_path / "curves.png") as image:
            pixels += [count for count, colour in image.convert("RGB").getcolors(1 << 24) if colour == line]
    assert pixels[1] > 0.8 * pixels[0]


def test_an_epoch_that_was_not_validated_leaves_blanks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"epoch": 1, "train/a": 2.0}, {"epoch": 2, "train/a": 1.0, "val/a": 3.0}]
    write_curves(rows)
    assert (TRAINING_PLOTS / "epochs.csv").read_text() == "epoch,train/a,val/a\n1,2,\n2,1,3\n"
    points = (TRAINING_PLOTS / "curves.csv").read_text().splitlines()[1:]
    assert points == ["1,a,train,2", "2,a,train,1", "2,a,val,3"]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        precision_recall(curves(3), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_each_error_is_drawn_in_its_colour_and_nothing_else_is():
    truth = GroundTruth(
        np.array([[10, 40, 30, 60], [40, 10, 60, 30], [70, 70, 90, 90]], float), np.array([0, 0, 1])
    )
    found = Detections(
        np.array([[10, 40, 30, 60], [40, 10, 60, 30], [5, 75, 25, 95]], float),
        np.full(3, 0.9),
        np.array([0, 1, 0]),
    )
    drawn_sheet = error_pictures.compare(
        np.full((100, 100, 3), 128, np.uint8), judge(truth, found, 0.5), ["a", "b"], title="x" * 200
    )
    there = {colour for _, colour in drawn_sheet.getcolors(1 << 24)}
    colours = {reason: ImageColor.getrgb(colour) in there for reason, colour in COLOURS.items()}
    assert [colours[reason] for reason in ("right", "missed", "wrong class", "loose")] == [True] * 3 + [False]
    assert drawn_sheet.width == 2 * SIDE + 3 * MARGIN


@pytest.mark.parametrize("extent", [(10, 400), (400, 10), (1, 1), (3000, 2000)])
def test_images_of_any_shape_and_boxes_at_their_edges(extent):
    width, height = extent
    boxes = np.array([[0, 0, width, height], [width - 1, height - 1, width, height]], float)
    outcome = judge(
        GroundTruth(boxes, np.array([0, 0])), Detections(boxes[:1], np.array([0.9]), np.array([0])), 0.5
    )
    image = np.zeros((height, width, 3), np.uint8)
    drawn_sheet = error_pictures.compare(
        image, outcome, ["a name that is much longer than the image is wide"], title="edge"
    )
    assert drawn_sheet.width >= NARROWEST


def test_outlines_and_points_are_drawn_in_place_of_boxes():
    box = np.array([[20, 20, 80, 80]], float)
    diamond = np.array([[50, 20], [80, 50], [50, 80], [20, 50]], float)
    points = np.array([[[30, 70, 2], [70, 30, 0]]], float)
    grey = np.full((100, 100, 3), 128, np.uint8)
    truth = GroundTruth(box, np.array([0]), outlines=(diamond,), keypoints=points)
    outcome = judge(truth, Detections(box[:0], np.zeros(0), np.zeros(0, np.int64)), 0.5)
    picture = error_pictures.compare(grey, outcome, ["a"], title="t")
    missed = ImageColor.getrgb(COLOURS["missed"])

    def coloured(x, y):
        """Tell whether there is the colour of a missed object within some pixels of a place of the image."""
        left, top = round(MARGIN + x * 5.6), round(70 + y * 5.6)
        near = [(left + right, top + down) for right in (-2, 0, 2) for down in (-2, 0, 2)]
        return missed in {picture.getpixel(place) for place in near}

    assert coloured(65, 35)  # half way along a side of the diamond
    assert coloured(30, 70)  # the labelled point
    assert not coloured(80, 80)  # a corner of the box
    assert not coloured(70, 35)  # beside the point that is not labelled


@pytest.mark.parametrize("extent", [(10, 400), (400, 10), (1, 1), (300, 200)])
def test_a_mistaken_class_is_shown_beside_images_of_any_shape(extent):
    width, height = extent
    guesses = [
        ("pit", 0.7),
        ("a name that is a good deal longer than there is room for in a picture", 0.2),
        ("crack", 0.1),
    ]
    picture = error_pictures.show(np.zeros((height, width, 3), np.uint8), "crack", guesses, title="x" * 300)
    there = {colour for _, colour in picture.getcolors(1 << 24)}
    assert {ImageColor.getrgb(COLOURS[verdict]) for verdict in ("right", "wrong class")} <= there
    assert picture.width <= 2 * 560


def test_a_box_that_a_model_turned_inside_out_is_drawn_as_the_false_alarm_it_is():
    upright, inverted = np.array([[20.0, 20, 60, 60]]), np.array([[70.0, 80, 40, 30]])
    found = Detections(inverted, np.array([0.9]), np.array([0]))
    outcome = judge(GroundTruth(upright, np.array([0])), found, 0.5)
    assert outcome.reasons() == {"false alarm": 1, "missed": 1}
    picture = error_pictures.compare(np.full((100, 100, 3), 90, np.uint8), outcome, ["a"], title="t")
    assert picture.width >= NARROWEST
