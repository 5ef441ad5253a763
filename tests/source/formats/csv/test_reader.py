"""Tables of boxes with known answers: spellings, delimiters, splits, columns, what is no row of it."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.csv import reader
from tests.readings import boxes, notes, real, sane, spoilt_bytes
from tests.sources import picture

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
ROW = "x.jpg,96,80,cat,10,20,50,60"


def write(folder, *lines: str, pictures=("x.jpg",), name="boxes.csv"):
    for image in pictures:
        picture(folder / image)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(
    "lines",
    [
        (HEADER, ROW),
        (HEADER.replace(",", ";"), ROW.replace(",", ";")),
        (HEADER.replace(",", "\t"), ROW.replace(",", "\t")),
        (HEADER.replace(",", ", "), ROW.replace(",", ", ")),
        ("\ufeff" + HEADER, ROW, "", ",,,,,,,"),
        ("image,label,x,y,w,h", "x.jpg,cat,10,20,40,40"),
        ("Datei;Klasse;x;y;Breite;Höhe", "x.jpg;cat;10;20;40;40"),
        ("image,label,x_center,y_center,w,h,width,height", "x.jpg,cat,30,40,40,40,96,80"),
        ("image_id,bbox,class", 'x,"[10, 20.0, 40, 40]",cat'),
        ("image_id,bbox,class,width,height", 'x,"(10 20 50 60)",cat,55,80'),
        ("x.jpg,10,20,50,60,cat",),
    ],
)
def test_a_table_is_read(tmp_path, lines):
    source = reader.read(write(tmp_path, *lines))
    assert reader.recognises(tmp_path)
    assert boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert (source.task, source.defects) == ("detect", ())


@pytest.mark.parametrize("name", ["x", "x.jpg", "/data/far/x.jpg"])
def test_corners_in_one_column_are_told_by_the_size_of_the_image(tmp_path, name):
    lines = ("image,bbox,class", f'{name},"[50, 60, 90, 75]",cat', f'{name},"[1, 2, 30, 40]",cat')
    source = reader.read(write(tmp_path, *lines))
    assert boxes(source) == {"x": [("cat", 50, 60, 90, 75), ("cat", 1, 2, 30, 40)]}
    assert "boxes.csv: the numbers in 'bbox' are taken for x1 y1 x2 y2" in source.remarks
    (tmp_path / "x.jpg").write_bytes(b"")
    assert boxes(reader.read(tmp_path))["x"][0] == ("cat", 50, 60, 140, 135)


def test_shares_of_the_image_are_told_from_pixels(tmp_path):
    source = reader.read(write(tmp_path, "ImageID,LabelName,XMin,XMax,YMin,YMax", "x,cat,0.1,0.5,0.25,0.75"))
    assert boxes(source) == {"x": [("cat", 0.1, 0.25, 0.5, 0.75)]}
    assert source.images[0].scaled


def test_classes_without_boxes_are_of_the_whole_image(tmp_path):
    source = reader.read(
        write(tmp_path, "image,label", "x.jpg,cat", "y.jpg,dog", "y.jpg,cat", pictures=("x.jpg", "y.jpg"))
    )
    assert (source.task, source.names) == ("classify", ("cat", "dog"))
    assert [image.fault for image in source.images] == ["", "2 classes are given for it: cat, dog"]


def test_a_column_for_each_class(tmp_path):
    rows = ["filename, cat, dog", "x.jpg, 1, 0", "y.jpg, 0, 1", "z.jpg, 1, 1"]
    source = reader.read(write(tmp_path, *rows, pictures=("x.jpg", "y.jpg", "z.jpg"), name="_classes.csv"))
    assert reader.recognises(tmp_path)
    assert (source.task, source.names) == ("classify", ("cat", "dog"))
    assert boxes(source) == {"x": [("cat", 0, 0, 1, 1)], "y": [("dog", 0, 0, 1, 1)], "z": []}
    assert source.images[2].fault == "line 4: 2 classes, but an image has one"
    assert notes(source) == {"z": [(True, "line 4: 2 classes, but an image has one")]}


def test_a_table_of_something_else_is_not_recognised(tmp_path):
    assert not reader.recognises(write(tmp_path, "image,label", "x.jpg,cat"))  # it might be anything
    assert not reader.recognises(write(tmp_path, "epoch,loss", "1,2"))


def test_a_row_without_an_image_is_named(tmp_path):
    source = reader.read(write(tmp_path, HEADER, ROW, ROW.replace("x.jpg", "")))
    assert source.defects == (("boxes.csv, line 3", "quarantined", "no image is named", "missing-image"),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x.jpg,96,80,cat,nan,20,50,60", "'nan' is no number that a coordinate can be"),
        ("x.jpg,96,80,cat,1e12,20,50,60", "'1e12' is no number that a coordinate can be"),
        ("x.jpg,96,80,cat,,20,50,60", "'' is no number that a coordinate can be"),
        ("x.jpg,96,80,,10,20,50,60", "no class"),
        ("x.jpg,96,80,cat,10,20,50", "'' is no number that a coordinate can be"),
        ("x.jpg,96,80,cat,one,10,20,50,60", "9 values under 8 columns"),
    ],
)
def test_what_is_no_object_is_named_and_the_others_stay(tmp_path, row, reason):
    source = reader.read(write(tmp_path, HEADER, ROW, row))
    assert boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert notes(source) == {"x": [(True, f"line 3: {reason}")]}
    assert source.images[0].size == (96, 80)


def test_rows_that_state_different_sizes_of_an_image_contradict(tmp_path):
    source = reader.read(write(tmp_path, HEADER, ROW, ROW.replace("96,80", "80,96")))
    assert source.images[0].fault == "annotated at sizes that differ: [(80, 96), (96, 80)]"


def test_a_row_without_box_and_class_says_that_nothing_is_there(tmp_path):
    source = reader.read(
        write(tmp_path, HEADER, ROW, "y.jpg,96,80,,,,,", pictures=("x.jpg", "y.jpg", "bare.jpg"))
    )
    assert boxes(source) == {"x": [("cat", 10, 20, 50, 60)], "y": []}
    assert [(d.file, d.reason) for d in source.defects] == [("bare.jpg", "not listed in any annotation file")]


def test_a_split_column_and_columns_in_which_all_rows_agree_are_kept(tmp_path):
    rows = [
        "x.jpg,cat,1,2,30,40,train,p1,a",
        "x.jpg,cat,5,6,30,40,train,p1,b",
        "y.jpg,cat,1,2,30,40,test,p2,a",
    ]
    header = "filename,class,xmin,ymin,xmax,ymax,split,patient,note"
    source = reader.read(write(tmp_path, header, *rows, pictures=("x.jpg", "y.jpg")))
    assert [(i.split, i.columns) for i in source.images] == [
        ("train", {"split": "train", "patient": "p1"}),
        ("test", {"split": "test", "patient": "p2", "note": "a"}),
    ]


def test_tables_of_splits_divide_and_the_held_out_one_wins(tmp_path):
    write(
        tmp_path,
        HEADER,
        ROW,
        ROW.replace("x.", "y."),
        pictures=("x.jpg", "y.jpg", "z.jpg"),
        name="train_labels.csv",
    )
    write(tmp_path, HEADER, ROW.replace("x.", "z."), ROW.replace("x.", "y."), name="test_labels.csv")
    source = reader.read(tmp_path)
    assert [image.split for image in source.images] == ["train", "test", "test"]
    assert notes(source) == {"y": [(False, "listed 2 times: its objects are put together")]}


def test_one_table_called_test_divides_nothing(tmp_path):
    assert [i.split for i in reader.read(write(tmp_path, HEADER, ROW, name="test.csv")).images] == [None]


def test_text_that_is_no_utf8_is_read_all_the_same(tmp_path):
    write(tmp_path, HEADER, ROW)
    (tmp_path / "boxes.csv").write_bytes(f"{HEADER}\n{ROW.replace('cat', 'Käfer')}\n".encode("latin-1"))
    source = reader.read(tmp_path)
    assert source.names == ("Käfer",)
    assert "boxes.csv: no UTF-8, read as Latin-1" in source.remarks


def test_tables_that_are_alike_are_told_once(tmp_path):
    for name in "abc":
        write(tmp_path, HEADER, ROW.replace("x.", f"{name}."), pictures=(f"{name}.jpg",), name=f"{name}.csv")
    [remark] = reader.read(tmp_path).remarks
    assert remark == "a.csv and 2 more: image 'filename', class 'class', corners xmin, ymin, xmax, ymax"


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", 'filename,class,bbox\n"' + "x" * 200_000])
def test_no_such_table_is_refused(tmp_path, text):
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(UserError):
        reader.read(tmp_path)


def test_windturbine_keeps_its_split():
    source = reader.read(real("windturbine"))
    assert reader.recognises(real("windturbine"))
    assert sum(len(image.raw.classes) for image in source.images) == 476
    assert [sum(i.split == split for i in source.images) for split in ("train", "test", None)] == [392, 80, 0]
    assert source.names == ("wind turbine",)


def test_the_table_of_bccd_says_what_its_xml_says():
    source = reader.read(real("bccd"))
    assert sum(len(image.raw.classes) for image in source.images) == 4888
    assert (len(source.images), source.names) == (364, ("Platelets", "RBC", "WBC"))


TABLE = f'{HEADER},bbox\n{ROW},"[1, 2, 3, 4]"\ny.jpg,96,80,dog,1,2,3,4,\n'.encode()


@given(data=spoilt_bytes(TABLE))
@settings(max_examples=200, deadline=None)
def test_no_table_makes_it_crash(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_csv"
    picture(folder / "x.jpg")
    (folder / "boxes.csv").write_bytes(data)
    sane(reader.read, folder)
