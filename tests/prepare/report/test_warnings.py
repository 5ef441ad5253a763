"""Warnings about a dataset: each kind, and no warning without cause."""

import numpy as np
import pytest

from pipeline.core.findings import Finding
from pipeline.core.paths import SPLITS
from pipeline.prepare.report.single_folders import strip_split_folders
from pipeline.prepare.report.statistics import ImageStatistics, build_columns
from pipeline.prepare.report.warning_lines import format_warning_lines
from pipeline.prepare.report.warnings import (
    BiasWarning,
    compute_recall_interval,
    find_unlabelled_images,
    find_warnings,
    judge_tiny_objects,
)

WIDE = np.array([[100.0, 300, 200, 400]])


def make_image(split="train", classes=(0,), *, boxes=None, source="a.jpg", brightness=0.5, sharpness=100.0):
    found = np.tile(WIDE, (len(classes), 1)) if boxes is None else np.array(boxes, np.float64)
    return ImageStatistics(split, (640, 480), list(classes), found, source, brightness, sharpness)


def balanced_images(**changes):
    """Return 60 images of each split with both classes, with noise that no check warns about."""
    rng = np.random.default_rng(0)
    looks = rng.uniform(0.4, 0.6, 180)
    return [
        make_image(split, (0, 1), brightness=look, sharpness=200 * look, **changes)
        for split, look in zip(np.repeat(["train", "val", "test"], 60), looks, strict=True)
    ]


def find_texts(images, names=("a", "b"), task="detect"):
    return {warning.kind: warning.text for warning in find_warnings(build_columns(images), names, task)}


def test_balanced_dataset_has_no_warning():
    assert find_texts(balanced_images()) == {}


def test_class_absent_from_train_or_test_is_named():
    found = find_texts(
        [item._replace(classes=[0, 0]) if item.split == "test" else item for item in balanced_images()]
    )
    assert found["Nothing to measure on"] == "no objects in test of b"
    assert "Nothing to learn from" not in found
    assert (
        find_texts(balanced_images(), ("a", "b", "c"))["Nothing to learn from"] == "no objects in train of c"
    )


def test_few_test_objects_are_reported_with_the_recall_interval():
    images = [item for item in balanced_images() if item.split != "test"] + [make_image("test", (0, 1))] * 10
    text = find_texts(images)["Too few test examples to measure"]
    assert text.startswith("objects in test: a 10 (49 to 94%), b 10 (49 to 94%); in")


@pytest.mark.parametrize("objects", [1, 10, 100, 5000])
def test_recall_interval_is_the_score_interval(objects):
    for bound in compute_recall_interval(objects):  # the definition of the score interval
        assert abs(0.8 - bound) == pytest.approx(1.959964 * (bound * (1 - bound) / objects) ** 0.5)


def test_recall_interval_without_objects_is_0_to_1():
    assert compute_recall_interval(0) == (0.0, 1.0)


def test_few_train_objects_are_counted():
    images = [*balanced_images(), *[make_image("train", (2,))] * 3, *[make_image("test", (2,))] * 40]
    assert find_texts(images, ("a", "b", "c"))["Few examples to learn from"].startswith(
        "objects in train: c 3; below"
    )


def test_class_in_one_folder_is_named_with_the_folder():
    images = [item._replace(source=f"line_a/{number}.jpg") for number, item in enumerate(balanced_images())]
    images += [make_image("train", (2,), source=f"line_b/{number}.jpg") for number in range(5)]
    text = find_texts(images, ("a", "b", "c"))["A class in one folder only"]
    assert text.startswith("c: all 5 images lie in line_b, one of 2 folders")
    assert "A class in one folder only" not in find_texts(images[:-1], ("a", "b", "c"))  # four are too few


def test_folders_that_only_name_a_split_are_stripped():
    assert (
        strip_split_folders("train/images/x.jpg")
        == strip_split_folders("images/val2017/x.jpg")
        == strip_split_folders("valid/x.jpg")
        == ""
    )
    assert strip_split_folders("line_a/test/x.jpg") == "line_a"
    assert strip_split_folders("trained_people/x.jpg") == "trained_people"


def test_difference_in_class_shares_is_reported():
    images = [item._replace(classes=[0, 0]) if item.split == "val" else item for item in balanced_images()]
    text = find_texts(images)["Splits differ in class shares"]
    assert text == "b is in 100% of the train images, but in 0% of val"


def test_insignificant_difference_is_not_reported():
    few = [make_image("train", (0, 1))] * 40 + [make_image("val", (0, 1))] * 2 + [make_image("val", (0, 0))]
    assert "Splits differ in class shares" not in find_texts(few)


def test_darker_split_is_reported():
    images = [
        item._replace(brightness=item.brightness - 0.3) if item.split == "test" else item
        for item in balanced_images()
    ]
    assert find_texts(images)["Splits differ in brightness"].startswith(
        "test is darker than train: 21% of white"
    )


def test_blurred_split_is_reported():
    images = [item._replace(sharpness=1.0) if item.split == "val" else item for item in balanced_images()]
    assert find_texts(images)["Splits differ in sharpness"].startswith("val is softer than train")


def test_missing_measurements_give_no_warning():
    images = [item._replace(brightness=float("nan"), sharpness=float("nan")) for item in balanced_images()]
    assert not {kind for kind in find_texts(images) if "brightness" in kind or "sharpness" in kind}


def test_tiny_objects_are_smaller_than_a_stride_at_640():
    tiny = [[10, 10, 17, 40], [100, 100, 107, 107]]
    assert find_texts([item._replace(boxes=np.array(tiny)) for item in balanced_images()])[
        "Tiny objects"
    ].startswith(
        "100% of the objects are under 8 pixels on their shorter side at imgsz=640 "
        "(100% at 256, 100% at 320, 0% at 1280): train at a larger imgsz"
    )
    plain = [[10, 10, 18, 40], [100, 100, 108, 108]]
    assert "Tiny objects" not in find_texts(
        [item._replace(boxes=np.array(plain)) for item in balanced_images()]
    )


def test_dominant_class_is_named_with_its_share():
    images = [
        item._replace(classes=[0] * 9 + [1], boxes=np.tile(WIDE, (10, 1))) for item in balanced_images()
    ]
    assert find_texts(images)["One class dominates"].startswith("a has 90% of all objects")
    assert "One class dominates" not in find_texts(
        [item._replace(classes=[0, 0]) for item in balanced_images()], ("a",)
    )


def test_objects_always_in_the_middle_are_reported():
    middle = np.tile([[300.0, 220, 340, 260]], (2, 1))
    found = find_texts([item._replace(boxes=middle) for item in balanced_images()])
    assert found["Objects in one place"].startswith("100% of the 360 objects")


def test_split_of_mostly_backgrounds_is_reported():
    empty = [make_image("train", ())] * 70
    assert find_texts([*balanced_images(), *empty])["Many images without objects"].startswith(
        "54% of the train images"
    )


def test_classification_counts_images_and_ignores_sizes():
    whole = [[0, 0, 640, 480]]
    images = [make_image("train", (n % 2,), boxes=whole, source=f"{n % 2}/x.jpg") for n in range(80)]
    images += [make_image("test", (n % 2,), boxes=whole) for n in range(10)]
    found = find_texts(images, task="classify")
    assert found["Too few test examples to measure"].startswith(
        "images in test: a 5 (38 to 96%), b 5 (38 to 96%)"
    )
    assert set(found) == {"Too few test examples to measure"}


def test_dataset_without_objects_has_warnings():
    assert find_texts([make_image(split, ()) for split in SPLITS])


def test_images_without_label_file_are_a_warning_with_their_share():
    findings = [
        Finding("a.jpg", "quarantined", "no label file", "missing-label"),
        Finding("b.jpg", "fixed", "no label file", "missing-label"),
        Finding("c.jpg", "quarantined", "empty", "empty-image"),
    ]
    [warning] = find_unlabelled_images(findings, 8)
    assert warning.kind == "Images without a label file"
    assert warning.text.startswith("2 of 8 images (25%): 1 left out, 1 used as background")
    assert find_unlabelled_images(findings[2:], 8) == []


def test_console_shows_a_line_per_kind_and_five_at_most():
    warnings = [BiasWarning(kind, f"text {kind}") for kind in "aabcdef"]
    lines = format_warning_lines(warnings, "report.html")
    assert lines == [
        "warning: a: text a (and 1 more)",
        *(f"warning: {kind}: text {kind}" for kind in "bcd"),
        "2 more warnings, pictures and charts: report.html",
    ]
    assert format_warning_lines([], "report.html") == ["pictures and charts: report.html"]


@pytest.mark.parametrize(("imgsz", "listed"), [(256, True), (736, False), (1280, False), (704, True)])
def test_tiny_objects_are_judged_at_the_size_of_the_training(imgsz, listed):
    boxes = np.array([[10, 10, 17, 40], [9, 9, 16, 16]])
    images = [item._replace(boxes=boxes, classes=[0, 0]) for item in balanced_images()]
    found = find_warnings(build_columns(images), ("a", "b"), "detect", imgsz=imgsz)
    plain = find_warnings(build_columns(images), ("a", "b"), "detect")
    assert judge_tiny_objects(plain, build_columns(images), "detect", imgsz=imgsz) == found
    texts = [warning.text for warning in found if warning.kind == "Tiny objects"]
    assert [f"imgsz={imgsz} (" in text for text in texts] == [True] * listed
    assert not any(f" at {smaller}" in text for text in texts for smaller in (192, imgsz))


def test_tiny_objects_are_among_the_first_warnings():
    images = [make_image("train", (0, 1), boxes=[[1, 1, 3, 3]] * 2)] * 3
    assert list(find_texts(images)).index("Tiny objects") <= 2
