"""The page of a comparison: self-contained, escaped, with verdicts, charts and pictures."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.comparison.compare_models import ComparedModel
from pipeline.comparison.comparison_report import build_report
from pipeline.comparison.comparison_result import PairedDifference
from pipeline.comparison.models.candidates import Candidate
from pipeline.comparison.page.choose_images import balance_images
from pipeline.comparison.page.interval_chart import build_interval_chart
from pipeline.comparison.page.render_page import render_comparison_page
from pipeline.iterations.iteration import Iteration
from pipeline.storage.files import hash_file
from tests.comparison.stored import draw_classifications, draw_detections


def build(found, root, labels=("A model", "<b>Bee</b>")):
    candidates = [Candidate(label, (Iteration(label, "run", label),)) for label in labels]
    models = [ComparedModel(label, (each,), (0.3,)) for label, each in zip(labels, found, strict=True)]
    report = build_report(candidates, models, remarks=["a remark"], resamples=200, seed=0)
    return report, render_comparison_page(report, models, root)


def write_images(found, root):
    """Write the images of predictions, and return them with their hashes."""
    (root / "data/prepared/images/test").mkdir(parents=True)
    images = []
    for place, image in enumerate(found[0].images):
        file = root / "data/prepared/images" / image.file
        cv2.imwrite(str(file), np.full((100, 100, 3), place % 250, np.uint8))
        images.append(image._replace(sha256=hash_file(file)))
    return [replace(each, images=tuple(images)) for each in found]


@pytest.mark.parametrize("draw", [draw_detections, draw_classifications])
@pytest.mark.fault(1, "markup in the names of classes and files")
def test_page_needs_no_other_file_and_escapes_names(tmp_path, draw):
    found = write_images([draw(24, skill=0.5), draw(24, skill=0.9, seed=1)], tmp_path)
    report, page = build(found, tmp_path)
    assert "<b>Bee</b>" not in page
    assert "&lt;b&gt;Bee&lt;/b&gt;" in page
    assert not re.findall(r"<script|<link|(?:src|href)=\"(?!data:|#)", page)
    assert report.comparisons[0].sentence.replace("<", "&lt;").replace(">", "&gt;") in page
    assert page.count("<polyline") == 4
    assert page.count("data:image/jpeg") >= 3


def test_page_says_that_images_are_not_there(tmp_path):
    _, page = build([draw_detections(12, skill=0.4), draw_detections(12, skill=0.9, seed=1)], tmp_path)
    assert "data:image" not in page
    assert "There are no pictures" in page


def test_images_are_won_by_fewer_errors_and_then_by_more_certain_ones():
    first = np.array([[3, 1.0], [1, 0.2], [1, 0.9], [0, 0.0], [2, 0.5]])
    second = np.array([[0, 0.0], [0, 0.0], [0, 0.0], [2, 0.5], [2, 0.5]])
    balance = balance_images(first, second)
    assert (balance.won, balance.lost, balance.equal) == ((0, 2, 1), (3,), 1)


def test_intervals_lie_within_the_chart_and_share_its_scale():
    rows = [
        PairedDifference("sure", 0.5, 0.6, 0.05, 0.15, 0.01, 10, 20),
        PairedDifference("unknown", 0.5, 0.4, -1.0, 1.0, 1.0, 1, 1),
    ]
    chart = build_interval_chart(rows)
    assert [row["verdict"] for row in chart["rows"]] == ["better", "unclear"]
    for row in chart["rows"]:
        assert 0 <= row["left"] <= row["dot"] <= row["left"] + row["width"] <= 100
    assert [tick["left"] for tick in chart["ticks"] if tick["text"] == "0"] == [50]
