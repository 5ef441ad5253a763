"""Images that nothing is annotated on: left out, background or refused, as data.unlabelled says."""

import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import read_source
from pipeline.source.types import ReadOptions
from tests import sources


def write_voc(folder):
    """Write a source of four images in two splits, two of them with a VOC file."""
    for split in ("train", "val"):
        sources.write_picture(folder / split / f"{split}1.jpg")
        sources.write_picture(folder / split / f"{split}2.jpg")
        sources.write_voc_file(folder / split / f"{split}1.xml", [("a", (10, 20, 50, 60))])
    return folder


def test_images_without_an_annotation_are_left_out_and_named(tmp_path):
    source = read_source("auto", write_voc(tmp_path))
    assert [image.source for image in source.images] == ["train/train1.jpg", "val/val1.jpg"]
    assert [finding.kind for finding in source.defects] == ["missing-label"] * 2


def test_images_without_an_annotation_are_background_when_asked(tmp_path):
    source = read_source("auto", write_voc(tmp_path), ReadOptions(unlabelled="background"))
    found = {image.source: (image.split, len(image.raw.classes)) for image in source.images}
    assert found == {
        "train/train1.jpg": ("train", 1),
        "train/train2.jpg": ("train", 0),
        "val/val1.jpg": ("val", 1),
        "val/val2.jpg": ("val", 0),
    }
    assert not source.defects


def test_other_pictures_of_annotated_images_are_no_background(tmp_path):
    for name in ("images/a", "images/b", "images/c", "depth/a", "depth/b"):
        sources.write_picture(tmp_path / f"{name}.jpg")
    for name in "ab":
        mask = Image.new("L", sources.SIZE)
        mask.paste(255, (10, 20, 50, 60))
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / f"masks/{name}.png")
    source = read_source("auto", tmp_path, ReadOptions(unlabelled="background"))
    assert [image.source for image in source.images] == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    assert [finding.file for finding in source.defects] == ["depth/a.jpg", "depth/b.jpg"]


def test_images_without_an_annotation_are_refused_when_asked(tmp_path):
    with pytest.raises(UserError, match=r"2 of 4 images \(50%\) have no label file"):
        read_source("auto", write_voc(tmp_path), ReadOptions(unlabelled="refuse"))
