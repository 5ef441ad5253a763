"""Open Images reader: known answers."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.openimages.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests.readings import check_corrupted_source, corrupted_bytes, get_boxes
from tests.sources import write_picture

HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)
ROW = "000a,xclick,/m/01yrx,1,0.1,0.5,0.25,0.75,0,0,0,0,0\n"
NAMES = '/m/01yrx,Cat\n/m/0bt9lr,"Dog, tame"\n'
FILE = "train-annotations-bbox.csv"


def write(folder, rows, *, pictures=("000a",), names=NAMES, file=FILE):
    folder.mkdir(exist_ok=True)
    for name in pictures:
        write_picture(folder / f"{name}.jpg")
    (folder / file).write_text(HEADER + rows)
    if names:
        (folder / "class-descriptions-boxable.csv").write_text(names)
    return folder


@pytest.mark.parametrize(
    "names", [NAMES, "LabelName,DisplayName\n" + NAMES, "".join(reversed(NAMES.splitlines(keepends=True)))]
)
def test_boxes_are_shares_and_classes_have_names(tmp_path, names):
    rows = ROW + "000b,xclick,/m/0bt9lr,1,0.0,1.0,0.5,0.625,1,0,0,0,0\n"
    found = recognize_source("auto", write(tmp_path, rows, pictures=("000a", "000b", "000c"), names=names))
    assert found.form == "openimages"
    assert not any("csv" in remark for remark in found.source.remarks)
    assert get_boxes(found.source) == {
        "000a": [("Cat", 0.1, 0.25, 0.5, 0.75)],
        "000b": [("Dog, tame", 0, 0.5, 1, 0.625)],
    }
    assert all(image.normalized for image in found.source.images)
    assert [(d.file, d.kind) for d in found.source.defects] == [("000c.jpg", "unlisted-image")]


@pytest.mark.parametrize(("crowds", "count"), [("auto", 1), ("ignore", 1), ("objects", 2)])
def test_boxes_around_groups_are_left_out_and_counted(tmp_path, crowds, count):
    group = ROW.replace("0,0,0,0,0\n", "0,0,1,0,0\n")
    source = read_folder(write(tmp_path, ROW + group), ReadOptions(crowds=crowds))
    assert len(get_boxes(source)["000a"]) == count
    assert any("IsGroupOf" in remark and "1 of 1 image" in remark for remark in source.remarks) == (
        count == 1
    )


def test_image_with_a_group_alone_is_no_background(tmp_path):
    group = ROW.replace("0,0,0,0,0\n", "0,0,1,0,0\n")
    rows = ROW + group.replace("000a", "000b")
    source = read_folder(write(tmp_path, rows, pictures=("000a", "000b")))
    notes = {image.path.stem: [(n.dropped, n.kind) for n in image.notes] for image in source.images}
    assert notes == {"000a": [], "000b": [(True, "crowd")]}


@pytest.mark.parametrize(("predictions", "count"), [("ignore", 1), ("labels", 2)])
def test_detections_are_labels_only_if_asked_for(tmp_path, predictions, count):
    source = read_folder(
        write(tmp_path, ROW + ROW.replace("/m/01yrx,1,", "/m/01yrx,0.7,")),
        ReadOptions(predictions=predictions),
    )
    assert len(get_boxes(source)["000a"]) == count
    assert any("Confidence" in remark for remark in source.remarks) == (count == 1)


def test_images_with_detections_alone_are_not_labelled(tmp_path):
    detected = ROW.replace("/m/01yrx,1,", "/m/01yrx,0.7,")
    source = read_folder(write(tmp_path, ROW + detected.replace("000a", "000b"), pictures=("000a", "000b")))
    assert [image.path.stem for image in source.images] == ["000a"]
    assert [(d.file, d.kind) for d in source.defects] == [("000b.jpg", "unlisted-image")]
    with pytest.raises(UserError, match=r"data\.predictions=labels"):
        read_folder(write(tmp_path / "all", detected))


def test_rows_of_images_that_are_not_here_are_counted(tmp_path):
    source = read_folder(write(tmp_path, ROW + ROW.replace("000a", "000x") * 2))
    assert len(source.images) == 1
    assert source.remarks == ("1 image listed in the tables, such as 000x, but not here: left out",)
    assert source.defects == ()


def test_table_with_the_same_columns_but_class_names_is_left_to_csv(tmp_path):
    write_picture(tmp_path / "000a.jpg")
    (tmp_path / "boxes.csv").write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n000a,cat,0.1,0.5,0.25,0.75\n")
    found = recognize_source("auto", tmp_path)
    assert found.form == "csv"
    assert get_boxes(found.source) == {"000a": [("cat", 0.1, 0.25, 0.5, 0.75)]}


def test_names_in_place_of_ids_are_used(tmp_path):
    source = read_folder(write(tmp_path, ROW.replace("/m/01yrx", "cat"), names=""))
    assert source.names == ("cat",)
    assert source.remarks == ()


def test_table_without_any_of_its_images_is_refused(tmp_path):
    write(tmp_path, ROW, pictures=("other",))
    with pytest.raises(UserError, match="000a"):
        read_folder(tmp_path)


def test_classes_without_names_are_said(tmp_path):
    source = read_folder(write(tmp_path, ROW, names=""))
    assert source.names == ("/m/01yrx",)
    assert any("class-descriptions-boxable.csv" in remark for remark in source.remarks)


def test_splits_are_read_from_the_names_of_the_tables(tmp_path):
    write(tmp_path, ROW)
    rows = ROW.replace("000a", "000b")
    write(tmp_path, rows, pictures=("000b",), file="validation-annotations-bbox.csv")
    source = read_folder(tmp_path)
    assert {image.path.stem: image.split for image in source.images} == {"000a": "train", "000b": "val"}


@pytest.mark.parametrize(
    "row",
    ["000a,xclick,/m/01yrx,1,0.1,x,0.25,0.75,0,0,0,0,0\n", "000a,xclick\n", "000a,,,1,0.1,0.5,0.2,0.7\n"],
)
def test_malformed_row_is_a_finding(tmp_path, row):
    source = read_folder(write(tmp_path, ROW + row))
    assert get_boxes(source) == {"000a": [("Cat", 0.1, 0.25, 0.5, 0.75)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


@pytest.mark.parametrize(
    "header",
    ["filename,class,xmin,ymin,xmax,ymax\n", "ImageID,LabelName,Confidence\n", "image_id,x,y,w,h,label\n"],
)
def test_other_tables_are_not_claimed(tmp_path, header):
    write_picture(tmp_path / "000a.jpg")
    (tmp_path / "boxes.csv").write_text(header)
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(data=corrupted_bytes((HEADER + ROW * 2).encode()))
@settings(max_examples=60, deadline=None)
def test_corrupted_table_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_openimages", "")
    (folder / FILE).write_bytes(data)
    check_corrupted_source(read_folder, folder)
