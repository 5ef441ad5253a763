"""data.classes, applied from the source to data/prepared."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from pipeline.source.reading.class_selection import filter_source_classes
from pipeline.source.recognize_format import read_source
from pipeline.source.types import AnnotatedImage, Source
from tests import sources
from tests.sources import prepare_config, write_picture

CAT, DOG, VAN = (f"{cls} 0.5 0.5 0.2 0.4\n" for cls in range(3))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Seven images of a cat and a dog, and three images of a van."""
    monkeypatch.chdir(tmp_path)
    labels = {f"pet{index}": CAT + DOG for index in range(7)} | {f"van{index}": VAN for index in range(3)}
    return sources.write_yolo_source(tmp_path / "set", labels, names=("cat", "dog", "van"), train="images")


def class_options(keep=None, drop=(), rename=None):
    return {"keep": keep, "drop": list(drop), "rename": rename or {}}


def test_selected_classes_are_prepared_and_reported(folder):
    run_stage(
        prepare_config(
            "auto", folder, classes=class_options(drop=["van"], rename={"cat": "pet", "dog": "pet"})
        )
    )
    manifest = read_manifest(PREPARED_FOLDER)
    assert manifest.names == ("pet",)
    assert sorted(len(item.classes) for item in manifest.items) == [0] * 3 + [1] * 7
    remarks = json.loads((PREPARED_FOLDER / "defects.json").read_text())["remarks"]
    assert [remark for remark in remarks if "data.classes" in remark] == [
        "data.classes leaves out 1 class, in objects: van 3",
        "data.classes makes one class of cat and dog: pet",
        "data.classes leaves 3 images without objects: used as backgrounds",
    ]


def test_empty_selection_changes_nothing(folder):
    source = read_source("yolo", folder)
    assert filter_source_classes(source, **class_options()) == source
    renamed = filter_source_classes(source, **class_options(rename={"van": "lorry"}))
    assert renamed == source._replace(names=("cat", "dog", "lorry"))


@pytest.mark.parametrize("drop", [[], ["van"]])
def test_new_name_that_differs_in_capitals_alone_is_named(folder, drop):
    source = read_source("yolo", folder)
    renamed = filter_source_classes(source, **class_options(rename={"cat": "DOG"}, drop=drop))
    (remark,) = (remark for remark in renamed.remarks if "'DOG' and 'dog'" in remark)
    again = filter_source_classes(renamed, **class_options(keep=["DOG", "dog"]))
    assert again.remarks.count(remark) == 1


def test_unknown_class_is_refused(folder):
    with pytest.raises(UserError, match=r"data.classes.drop names 'vans', .* did you mean 'van'\?"):
        filter_source_classes(read_source("yolo", folder), **class_options(drop=["vans"]))


def test_classes_without_objects_are_refused_before_images_are_read(folder):
    labels = dict.fromkeys("abcd", CAT)
    sources.write_yolo_source(folder, labels, names=("cat", "dog", "van", "bus", "tram"), train="images")
    for path in (folder / "images").iterdir():
        path.write_bytes(b"")
    said = r"leaves no object, there is none of bus, tram: keep one or more of cat 11, dog 7, van 3$"
    with pytest.raises(UserError, match=said):
        run_stage(prepare_config("auto", folder, classes=class_options(keep=["bus", "tram"])))
    with pytest.raises(UserError, match="leaves no object, there is none of bus: keep"):
        run_stage(prepare_config("auto", folder, classes=class_options(drop=["cat", "dog", "van", "tram"])))


def test_classify_images_of_a_dropped_class_are_dropped(tmp_path):
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "van/1.jpg"):
        write_picture(tmp_path / name)
    source = filter_source_classes(read_source("auto", tmp_path), **class_options(keep=["van", "dog"]))
    assert source.names == ("dog", "van")
    assert [image.source for image in source.images] == ["dog/1.jpg", "van/1.jpg"]
    assert source.remarks == ("data.classes leaves out 1 class, in images: cat 2",)


def test_class_selection_is_refused_for_the_demo():
    with pytest.raises(ValidationError, match=r"data.classes must be empty where data.format=demo"):
        prepare_config("demo", None, images=10, pixels=64, classes=class_options(keep=["pit"]))


def test_source_without_a_class_is_refused_with_the_first_reason(tmp_path):
    raw = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())
    image = AnnotatedImage(tmp_path / "x.jpg", "x.jpg", None, raw, fault="nobody has annotated it")
    source = Source((), (image,), remarks=("1 task with predictions",))
    with pytest.raises(UserError, match=r"no object .*; x\.jpg: nobody has annotated it; 1 task with pred"):
        filter_source_classes(source, **class_options())
