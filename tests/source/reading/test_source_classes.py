"""data.classes, from the source to data/prepared."""

import json

import pytest
from pydantic import ValidationError

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import stage
from pipeline.source.formats import registry
from pipeline.source.reading import class_selection
from tests import sources
from tests.sources import config, picture

CAT, DOG, VAN = (f"{cls} 0.5 0.5 0.2 0.4\n" for cls in range(3))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten images: cats and dogs, three of them with a van alone."""
    monkeypatch.chdir(tmp_path)
    labels = {f"pet{index}": CAT + DOG for index in range(7)} | {f"van{index}": VAN for index in range(3)}
    return sources.yolo(tmp_path / "set", labels, names=("cat", "dog", "van"), train="images")


def chosen(keep=None, drop=(), rename=None):
    return {"keep": keep, "drop": list(drop), "rename": rename or {}}


def test_a_chosen_dataset_is_what_is_prepared(folder):
    stage.run(config("auto", folder, classes=chosen(drop=["van"], rename={"cat": "pet", "dog": "pet"})))
    manifest = read_manifest(PREPARED)
    assert manifest.names == ("pet",)
    assert sorted(len(item.classes) for item in manifest.items) == [0] * 3 + [1] * 7
    remarks = json.loads((PREPARED / "defects.json").read_text())["remarks"]
    assert [remark for remark in remarks if "data.classes" in remark] == [
        "data.classes leaves out 1 class, in objects: van 3",
        "data.classes makes one class of cat and dog: pet",
        "data.classes leaves 3 images without objects: used as backgrounds",
    ]


def test_all_classes_as_they_are_change_nothing(folder):
    source = registry.read("yolo", folder)
    assert class_selection.choose(source, **chosen()) == source
    renamed = class_selection.choose(source, **chosen(rename={"van": "lorry"}))
    assert renamed == source._replace(names=("cat", "dog", "lorry"))


def test_an_unknown_class_is_refused(folder):
    with pytest.raises(UserError, match=r"data.classes.drop names 'vans', .* did you mean 'van'\?"):
        class_selection.choose(registry.read("yolo", folder), **chosen(drop=["vans"]))


def test_classes_without_an_object_are_refused_before_any_image_is_read(folder):
    labels = dict.fromkeys("abcd", CAT)
    sources.yolo(folder, labels, names=("cat", "dog", "van", "bus", "tram"), train="images")
    for path in (folder / "images").iterdir():
        path.write_bytes(b"")
    said = r"leaves no object, there is none of bus, tram: keep one or more of cat 11, dog 7, van 3$"
    with pytest.raises(UserError, match=said):
        stage.run(config("auto", folder, classes=chosen(keep=["bus", "tram"])))
    with pytest.raises(UserError, match="leaves no object, there is none of bus: keep"):
        stage.run(config("auto", folder, classes=chosen(drop=["cat", "dog", "van", "tram"])))


def test_images_of_a_class_that_is_left_out_go_with_it(tmp_path):
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "van/1.jpg"):
        picture(tmp_path / name)
    source = class_selection.choose(registry.read("auto", tmp_path), **chosen(keep=["van", "dog"]))
    assert source.names == ("dog", "van")
    assert [image.source for image in source.images] == ["dog/1.jpg", "van/1.jpg"]
    assert source.remarks == ("data.classes leaves out 1 class, in images: cat 2",)


def test_drawn_images_have_the_classes_they_have():
    with pytest.raises(ValidationError, match=r"data.classes must be empty where data.format=demo"):
        config("demo", None, images=10, pixels=64, classes=chosen(keep=["pit"]))
