"""What evaluate prints."""

import pytest

from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.evaluate.summary import describe_crowded_images, summarize_latency, summarize_metrics

TEST = {
    "mAP50": 0.5,
    "mAP50_low": 0.4,
    "mAP50_high": 0.6,
    "recall": 0.25,
    "threshold": 0.3,
    "images": 12,
    "objects": 30,
}
LATENCY = {"preprocess": 0.2, "inference": 9.9, "postprocess": 0.4, "total": 10.6, "images": 50, "imgsz": 640}


def test_metrics_are_summarized_with_their_intervals():
    expected = (
        "mAP50 0.500 (0.400 to 0.600) on 12 test images with 30 objects; at threshold 0.300 recall 0.250"
    )
    assert summarize_metrics(TEST) == expected
    bare = {name: value for name, value in TEST.items() if name not in {"mAP50_low", "mAP50_high"}}
    assert summarize_metrics(bare).startswith("mAP50 0.500 on 12 test images")
    worst = {"worst_slice": "folder=night", "mAP50-95_worst_slice": 0.2}
    assert summarize_metrics(TEST | worst) == f"{expected}; worst slice folder=night: mAP50-95 0.200"


@pytest.mark.parametrize(
    ("machine", "ending"),
    [
        ({"device": "cpu", "threads": 2.0, "busy": 0.1}, "on cpu with 2 threads"),
        (
            {"device": "cpu", "threads": 1.0, "busy": 1.7},
            "on cpu with 1 thread, while other processes used 1.7 cores",
        ),
        ({"device": "NVIDIA H200", "threads": 8.0, "busy": 0.0}, "on NVIDIA H200"),
    ],
)
def test_latency_is_summarized_with_what_it_was_measured_on(machine, ending):
    expected = "10.6 ms per image (0.2 pre-processing, 9.9 inference, 0.4 post-processing): "
    assert summarize_latency(LATENCY | machine) == f"{expected}median of 50 at 640 pixels {ending}"


@pytest.mark.parametrize(
    ("task", "max_det", "words"),
    [
        ("detect", 2, ("1 val image and 2 test images", "max_det=4")),
        ("detect", 4, None),
        ("classify", 1, None),
    ],
)
def test_images_with_more_objects_than_can_be_found_are_told(task, max_det, words):
    def image(split, number, count):
        return ImageRecord(f"{split}/{number}.jpg", "", "", 64, 64, (0,) * count, "")

    counts = (("val", 3), ("test", 4), ("test", 3), ("test", 2), ("train", 9))
    items = tuple(image(split, number, count) for number, (split, count) in enumerate(counts))
    found = describe_crowded_images(Manifest(task, ("a",), items), max_det)
    assert found is None if words is None else all(word in found for word in words)
