"""Annotations that state another size than their image has: refused, scaled, or taken as pixels of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

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
    return AnnotatedImage(Path("x.jpg"), "x.jpg", None, raw, normalized=normalized, size=size)


def test_sides_are_scaled_apart():
    raw = resolve_stated_size(annotate((100, 100)), (200, 50), "trust_annotation")
    assert raw.boxes.tolist() == [[20, 10, 100, 30]]


def test_annotation_of_a_turned_image_is_not_scaled():
    with pytest.raises(UnusableImageError, match="turned"):
        resolve_stated_size(annotate((80, 96)), (96, 80), "trust_annotation")


def test_shares_are_of_the_image_whatever_the_stated_size():
    raw = resolve_stated_size(annotate((50, 50), normalized=True), (100, 200), "trust_annotation")
    assert raw.boxes.tolist() == [[10, 40, 50, 120]]


def write_turned_source(folder, *, orientation, size=(48, 96), number=6):
    """Write images that are stored as 48 x 96 with a mark at x 4 to 20, y 8 to 32, and turned by EXIF."""
    for index in range(number):
        pixels = np.full((96, 48, 3), 20 + index, np.uint8)
        pixels[8:32, 4:20] = 250
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = folder / f"JPEGImages/{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, exif=exif)
        sources.write_voc_file(
            folder / f"Annotations/{index:02d}.xml", [("flaw", (5, 9, 20, 32))], size=size, image=path.name
        )
    return folder


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_of_the_stored_pixels_are_turned_as_their_image_is(tmp_path, orientation):
    path = write_turned_source(tmp_path, orientation=orientation, number=1) / "JPEGImages/00.png"
    raw = RawObjects(
        np.array([0]),
        np.array([[4.0, 8, 20, 32]]),
        ("object 1",),
        ((np.array([[4.0, 8], [20, 8], [20, 32]]),),),
        (np.array([[4.0, 8, 2]]),),
    )
    annotated = AnnotatedImage(path, "00.png", None, raw, size=(48, 96))
    turned = resolve_stated_size(annotated, (96, 48), "trust_annotation")
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))[..., 0] > 200
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    assert turned.boxes.tolist() == [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]
    assert turned.outlines[0][0][0].tolist() == turned.keypoints[0][0, :2].tolist()
    assert turned.keypoints[0][0, 2] == 2


def test_turned_images_are_refused_by_default_with_what_both_options_mean(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_turned_source(tmp_path / "source", orientation=6)
    with pytest.raises(UserError, match=r"trust_annotation if .* EXIF orientation, or data\.sizes=trust_im"):
        run_stage(prepare_config("voc", folder, near_duplicates=False))


def test_exchanged_width_and_height_are_refused_with_the_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_turned_source(tmp_path / "source", orientation=1, size=(96, 48))
    with pytest.raises(UserError, match=r"48 x 96, not 96 x 48; .* exchanged: set data\.sizes=trust_im"):
        run_stage(prepare_config("voc", folder))
