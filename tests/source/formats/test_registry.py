"""Which format a folder has, found out by looking."""

import json

import pytest

from pipeline.commands import inspect
from pipeline.config.data import FORMATS
from pipeline.core.errors import UserError
from pipeline.source.formats import registry
from tests import sources
from tests.sources import picture

LABEL = "1 0.5 0.5 0.2 0.4\n"


def a_yolo(folder):
    sources.yolo(folder, {"x": LABEL}, train="images")


def a_yolo_without_yaml(folder):
    sources.yolo(folder, {"x": LABEL}, names=None)


def a_coco(folder):
    picture(folder / "images/x.jpg")
    sources.coco(folder / "annotations/instances.json", {"x.jpg": [{}]}, categories={1: "a"})


def a_voc(folder):
    picture(folder / "JPEGImages/x.jpg")
    sources.voc(folder / "Annotations/x.xml", [("a", (1, 2, 3, 4))])


def some_folders(folder):
    picture(folder / "cat/x.jpg")
    picture(folder / "dog/x.jpg")


MADE = [
    (a_yolo, "yolo"),
    (a_yolo_without_yaml, "yolo"),
    (a_coco, "coco"),
    (a_voc, "voc"),
    (some_folders, "folders"),
]


@pytest.mark.parametrize(("make", "form"), MADE)
@pytest.mark.parametrize("inner", ["", "export", "export/export/deep"])
def test_a_format_is_recognised_in_the_folder_or_the_only_one_in_it(tmp_path, make, form, inner):
    make(tmp_path / inner)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "LICENSE").write_text("x")
    found = registry.recognise("auto", tmp_path)
    assert (found.form, found.remarks) == (form, ())
    source = registry.read("auto", tmp_path)
    assert source.images
    for image in source.images:
        assert tmp_path / image.source == image.path
        assert image.source.startswith(inner)
    assert registry.read(form, tmp_path).names == source.names


def test_where_two_formats_lie_together_one_is_read_and_both_are_named(tmp_path):
    a_yolo(tmp_path)
    a_voc(tmp_path)
    source = registry.read("auto", tmp_path)
    assert source.remarks[0] == "read as yolo, though it looks like voc too: data.format decides"
    assert registry.read("voc", tmp_path).names == ("a",)


def test_a_refusal_says_what_was_looked_for_and_what_was_found(tmp_path):
    for name in ("x.jpg", "y.jpg"):
        picture(tmp_path / name)
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "Makefile").write_text("")
    with pytest.raises(UserError) as refused:
        registry.read("auto", tmp_path)
    said = str(refused.value)
    assert "\n" not in said
    assert "found 2 .jpg, 1 .json, 1 without suffix (such as Makefile, notes.json, x.jpg)" in said
    assert "; looked for coco (JSON with images, annotations and categories), labelme (" in said
    for form in registry.formats():
        assert f" {form}" in said
    assert len(said) < 600 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "likely"),
    [
        (["x.jpg", "x.xml"], ["voc", "cvat", "labelme"]),
        (["x.jpg", "x.txt"], ["yolo", "dota", "boxes"]),
        (["x.jpg", "x.csv"], ["via", "csv"]),
        (["x.jpg"], ["masks", "folders"]),
    ],
)
def test_a_refusal_explains_the_formats_that_such_files_may_have(tmp_path, names, likely):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(UserError) as refused:
        registry.read("auto", tmp_path)
    told = [form for form, module in registry.formats().items() if module.LOOKED_FOR in str(refused.value)]
    assert told == likely


def test_the_help_of_inspect_explains_all_formats(capsys):
    with pytest.raises(SystemExit):
        inspect.run(["--help"])
    said = capsys.readouterr().out
    for form, module in registry.formats().items():
        assert f"  {form:<12} {module.LOOKED_FOR}\n" in said


def test_an_empty_folder_and_none_are_refused(tmp_path):
    with pytest.raises(UserError, match="found no files; looked for"):
        registry.read("auto", tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        registry.read("auto", tmp_path / "gone")
    with pytest.raises(UserError, match="no format is called jolo: take auto, or one of yolo, coco"):
        registry.read("jolo", tmp_path)


def test_datasets_further_down_are_pointed_to(tmp_path):
    a_yolo(tmp_path / "first")
    a_coco(tmp_path / "second")
    with pytest.raises(
        UserError, match=r"but in first/ \(yolo\), second/ \(coco\), one of which data.source may be"
    ):
        registry.read("auto", tmp_path)


def test_an_archive_in_a_folder_is_pointed_to(tmp_path):
    for name in ("set one.zip", "notes.txt"):
        (tmp_path / name).write_text("x")
    with pytest.raises(
        UserError, match=r" itself; set one\.zip may be an archive of one: name it in data\.source"
    ):
        registry.read("auto", tmp_path)


def test_a_folder_that_links_to_itself_ends(tmp_path):
    a_coco(tmp_path)
    (tmp_path / "images/loop").symlink_to(tmp_path)
    assert len(registry.read("auto", tmp_path).images) == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"images": 5}', '{"shapes": []}', "\xff", json.dumps([{"annotations": [{}]}])],
)
def test_json_of_other_kinds_is_not_taken_for_coco(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    assert not registry.formats()["coco"].recognises(tmp_path)


def test_the_table_has_every_format_of_the_schema():
    assert set(registry.formats()) == set(FORMATS)
