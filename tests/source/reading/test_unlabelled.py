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


def write_yolo(folder, labels):
    """Write images with label files; `None` is an image without one."""
    sources.write_picture(folder / "images/train/a.jpg")
    for name, text in {"train/a": "0 0.5 0.5 0.2 0.2\n", **labels}.items():
        sources.write_picture(folder / f"images/{name}.jpg")
        if text is not None:
            path = folder / f"labels/{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (folder / "data.yaml").write_text("train: images/train\ntest: images/test\nnames: [a]\n")
    return folder


BOX = "0 0.5 0.5 0.2 0.2\n"


@pytest.mark.parametrize(
    ("labels", "policy", "read"),
    [
        pytest.param(
            {"train/b": "", "test/c": None, "test/d": None},
            "auto",
            ["train/a", "train/b"],
            id="test split without label files",
        ),
        pytest.param(
            {"train/b": "", "test/c": "", "test/d": None},
            "auto",
            ["train/a", "train/b"],
            id="test split of nothing",
        ),
        pytest.param(
            {"train/b": "", "test/c": BOX, "test/d": None},
            "auto",
            ["test/c", "test/d", "train/a", "train/b"],
            id="test split with labels",
        ),
        pytest.param(
            {"train/b": None, "test/c": BOX, "test/d": ""},
            "auto",
            ["test/c", "test/d", "train/a", "train/b"],
            id="background of train without files",
        ),
        pytest.param(
            {"train/b": "0 0.5 0.5 0.2\n", "train/c": None},
            "auto",
            ["train/a", "train/b"],
            id="label file cut short is not empty on purpose",
        ),
        pytest.param(
            {"train/b": "", "test/c": None, "test/d": ""},
            "background",
            ["test/c", "test/d", "train/a", "train/b"],
            id="asked for",
        ),
    ],
)
def test_a_split_that_nobody_labelled_is_no_background(tmp_path, labels, policy, read):
    source = read_source("auto", write_yolo(tmp_path, labels), ReadOptions(unlabelled=policy))
    assert [image.source for image in source.images] == [f"images/{name}.jpg" for name in read]
    lost = {f"images/{name}.jpg" for name in labels} - {image.source for image in source.images}
    assert {finding.file for finding in source.defects if finding.kind == "missing-label"} == lost


def test_a_coco_test_split_without_annotations_is_left_out(tmp_path):
    for split, objects in (("train", [{}]), ("test", [])):
        sources.write_picture(tmp_path / split / "a.jpg")
        sources.write_coco_file(
            tmp_path / split / "_annotations.coco.json", {"a.jpg": objects}, categories={1: "a"}
        )
    source = read_source("auto", tmp_path)
    assert [image.split for image in source.images] == ["train"]
    with pytest.raises(UserError, match=r"nothing is labelled in test \(1 image\)"):
        read_source("auto", tmp_path, ReadOptions(unlabelled="refuse"))
