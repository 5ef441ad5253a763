"""Recognition of the annotation format of a folder."""

import json
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from pipeline.__main__ import main
from pipeline.config.source_paths import resolve_sources
from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.errors import UserError
from pipeline.source.formats.load_readers import load_formats
from pipeline.source.join_sources import read_sources
from pipeline.source.recognize_format import read_source, recognize_source
from tests import sources
from tests.sources import write_picture

LABEL = "1 0.5 0.5 0.2 0.4\n"


def make_yolo(folder):
    sources.write_yolo_source(folder, {"x": LABEL}, train="images")


def make_yolo_without_yaml(folder):
    sources.write_yolo_source(folder, {"x": LABEL}, names=None)


def make_coco(folder):
    write_picture(folder / "images/x.jpg")
    sources.write_coco_file(folder / "annotations/instances.json", {"x.jpg": [{}]}, categories={1: "a"})


def make_voc(folder):
    write_picture(folder / "JPEGImages/x.jpg")
    sources.write_voc_file(folder / "Annotations/x.xml", [("a", (1, 2, 3, 4))])


def make_class_folders(folder):
    write_picture(folder / "cat/x.jpg")
    write_picture(folder / "dog/x.jpg")


MADE = [
    (make_yolo, "yolo"),
    (make_yolo_without_yaml, "yolo"),
    (make_coco, "coco"),
    (make_voc, "voc"),
    (make_class_folders, "folders"),
]


@pytest.mark.parametrize(("make", "form"), MADE)
@pytest.mark.parametrize("inner", ["", "export", "export/export/deep"])
def test_format_is_recognized_in_the_folder_or_its_only_subfolder(tmp_path, make, form, inner):
    make(tmp_path / inner)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "LICENSE").write_text("x")
    found, source = recognize_source("auto", tmp_path)
    assert found == form
    assert not any("looks like" in remark for remark in source.remarks)
    assert source.images
    for image in source.images:
        assert tmp_path / image.source == image.path
        assert image.source.startswith(inner)
    assert read_source(form, tmp_path).names == source.names


def test_first_of_two_formats_that_explain_as_much_is_read_with_a_remark(tmp_path):
    make_yolo(tmp_path)
    sources.write_voc_file(tmp_path / "Annotations/x.xml", [("c", (1, 2, 3, 4))])
    found = recognize_source("auto", tmp_path)
    assert (found.form, found.source.names) == ("yolo", ("a", "b"))
    assert "it looks like voc (100%) too" in found.source.remarks[0]
    assert read_source("voc", tmp_path).names == ("c",)


def test_format_that_annotates_most_images_is_read_with_a_remark(tmp_path):
    make_yolo(tmp_path)
    make_voc(tmp_path)
    found = recognize_source("auto", tmp_path)
    assert (found.form, found.source.names) == ("voc", ("a",))
    assert "it looks like yolo (50%) too" in found.source.remarks[0]


def test_masks_beside_labelled_images_are_no_images_without_labels(tmp_path):
    sources.write_yolo_source(tmp_path, dict.fromkeys("abcd", LABEL), train="images")
    (tmp_path / "masks").mkdir()
    for name in "abcd":
        mask = Image.new("L", sources.SIZE)
        mask.paste(255, (10, 20, 50, 60))
        mask.save(tmp_path / f"masks/{name}.png")
    found = recognize_source("auto", tmp_path)
    assert found.form == "yolo"
    assert "yolo (100% of" in found.source.remarks[0]
    assert "masks (100%)" in found.source.remarks[0]


def test_unknown_format_error_lists_files_and_formats(tmp_path):
    for name in ("x.jpg", "y.jpg"):
        write_picture(tmp_path / name)
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "Makefile").write_text("")
    with pytest.raises(UserError) as refused:
        read_source("auto", tmp_path)
    said = str(refused.value)
    assert "\n" not in said
    assert "found 2 .jpg, 1 .json, 1 without suffix (such as Makefile, notes.json, x.jpg)" in said
    assert "; looked for coco (JSON with images, annotations and categories), labelme (" in said
    assert f" and {len(load_formats()) - 4} other formats" in said
    assert len(said) < 600 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "likely", "unlikely"),
    [
        (["x.jpg", "x.xml"], {"voc", "cvat", "labelme"}, {"yolo", "csv", "masks", "createml"}),
        (["x.jpg", "x.txt"], {"yolo", "dota"}, {"voc", "csv", "masks", "createml"}),
        (["x.jpg", "x.csv"], {"via", "csv"}, {"voc", "yolo", "masks", "createml"}),
        (["x.jpg"], {"masks", "folders"}, {"voc", "yolo", "csv", "createml"}),
    ],
)
def test_unknown_format_error_describes_likely_formats(tmp_path, names, likely, unlikely):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(UserError) as refused:
        read_source("auto", tmp_path)
    told = {form for form, module in load_formats().items() if module.RECOGNIZED_BY in str(refused.value)}
    assert likely <= told
    assert not unlikely & told


def test_help_of_inspect_lists_all_formats(capsys):
    assert main(["inspect", "--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    assert set(ANNOTATION_FORMATS) <= set(words)


def test_empty_folder_missing_folder_and_unknown_format_are_refused(tmp_path):
    with pytest.raises(UserError, match="found no files; looked for"):
        read_source("auto", tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        read_source("auto", tmp_path / "gone")
    with pytest.raises(UserError, match="unknown format jolo: use auto, or one of yolo, coco"):
        read_source("jolo", tmp_path)


def test_datasets_in_subfolders_are_named(tmp_path):
    make_yolo(tmp_path / "first")
    make_coco(tmp_path / "second")
    with pytest.raises(
        UserError, match=r"but in first/ \(yolo\), second/ \(coco\), one of which data.source may be"
    ):
        read_source("auto", tmp_path)


def test_datasets_side_by_side_can_be_joined_as_the_message_says(tmp_path):
    folder = tmp_path / "my sets, [new]"
    make_yolo(folder / "first")
    make_coco(folder / "it's second")
    with pytest.raises(UserError, match="reads them as one") as refusal:
        read_source("auto", folder)
    shown = str(refusal.value).partition("different images, ")[2].partition(" reads them")[0]
    [command] = shlex.split(shown)
    [override] = OverridesParser.create().parse_overrides([command])
    assert override.value() == [str(folder / "first"), str(folder / "it's second")]
    found = read_sources("auto", resolve_sources(tmp_path, override.value()))
    assert {image.source.partition("/")[0] for image in found.source.images} == {"first", "it's second"}


def test_archive_in_the_folder_is_named(tmp_path):
    for name in ("set one.zip", "notes.txt"):
        (tmp_path / name).write_text("x")
    with pytest.raises(
        UserError, match=r" itself; set one\.zip may be an archive of one: name it in data\.source"
    ):
        read_source("auto", tmp_path)


def test_folder_with_a_link_to_itself_is_read(tmp_path):
    make_coco(tmp_path)
    (tmp_path / "images/loop").symlink_to(tmp_path)
    assert len(read_source("auto", tmp_path).images) == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"images": 5}', '{"shapes": []}', "\xff", json.dumps([{"annotations": [{}]}])],
)
def test_other_json_does_not_match_coco(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    assert not load_formats()["coco"].matches_folder(tmp_path)
