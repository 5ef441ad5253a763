"""Annotations that state another size than their image has: refused, scaled, or taken as pixels of it."""

import numpy as np
import pytest

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.labels import parse_labels, xywhn_to_xyxy
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.stage import run_stage
from pipeline.prepare.stated_sizes import resolve_stated_size
from pipeline.source.types import AnnotatedImage
from tests import sources
from tests.sources import prepare_config, write_picture


def write_resized_source(folder, *, resized=12, unchanged=0):
    """Write images of 96 x 80 whose VOC files say 48 x 40, and some that say 96 x 80."""
    for number in range(resized + unchanged):
        size = (48, 40) if number < resized else (96, 80)
        write_picture(folder / f"JPEGImages/{number:02d}.jpg")
        box = (6, 11, 25, 30) if number < resized else (11, 21, 50, 60)
        sources.write_voc_file(folder / f"Annotations/{number:02d}.xml", [("flaw", box)], size=size)
    return folder


def read_box(policy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_stage(prepare_config("voc", write_resized_source(tmp_path / "source"), sizes=policy))
    [record, *_] = read_manifest(PREPARED_FOLDER).items
    labels = parse_labels((PREPARED_FOLDER / "labels" / record.label_file).read_text())
    return xywhn_to_xyxy(labels.boxes, 96, 80).round(2).tolist()


@pytest.mark.parametrize(
    ("policy", "box"), [("trust_annotation", [10, 20, 50, 60]), ("trust_image", [5, 10, 25, 30])]
)
def test_boxes_of_resized_images_are_scaled_or_taken_as_pixels(tmp_path, monkeypatch, policy, box):
    assert read_box(policy, tmp_path, monkeypatch) == [box]


def test_resized_images_are_refused_by_default_with_both_sizes_and_the_option(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"12 of 12 images .*96 x 80, not 48 x 40.*data\.sizes=trust_annot"):
        read_box("refuse", tmp_path, monkeypatch)


def test_few_images_of_another_size_are_quarantined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_resized_source(tmp_path / "source", resized=2, unchanged=12)
    run_stage(prepare_config("voc", folder))
    assert len(read_manifest(PREPARED_FOLDER).items) == 12


def test_boxes_beyond_the_stated_size_are_no_misread_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        write_picture(tmp_path / f"source/JPEGImages/{number:02d}.jpg")
        file = tmp_path / f"source/Annotations/{number:02d}.xml"
        sources.write_voc_file(file, [("flaw", (61, 51, 90, 70))], size=(48, 40))
    with pytest.raises(UserError, match="trust_image"):
        run_stage(prepare_config("voc", tmp_path / "source"))
    run_stage(prepare_config("voc", tmp_path / "source", sizes="trust_image"))
    assert len(read_manifest(PREPARED_FOLDER).items) == 12


def annotate(size, *, normalized=False):
    box = np.array([[0.1, 0.2, 0.5, 0.6]]) if normalized else np.array([[10.0, 20, 50, 60]])
    raw = RawObjects(np.array([0]), box, ("object 1",))
    return AnnotatedImage(None, "x.jpg", None, raw, normalized=normalized, size=size)


def test_sides_are_scaled_apart():
    raw = resolve_stated_size(annotate((100, 100)), (200, 50), "trust_annotation")
    assert raw.boxes.tolist() == [[20, 10, 100, 30]]


def test_annotation_of_a_turned_image_is_not_scaled():
    with pytest.raises(UnusableImageError, match="turned"):
        resolve_stated_size(annotate((80, 96)), (96, 80), "trust_annotation")


def test_shares_are_of_the_image_whatever_the_stated_size():
    raw = resolve_stated_size(annotate((50, 50), normalized=True), (100, 200), "trust_annotation")
    assert raw.boxes.tolist() == [[10, 40, 50, 120]]
