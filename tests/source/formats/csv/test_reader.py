"""CSV reader: known answers for spellings, delimiters, splits, further columns, invalid rows."""

import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.csv.reader import matches_folder, read_folder
from pipeline.source.types import ReadOptions
from tests.readings import check_corrupted_source, corrupted_bytes, find_real_dataset, get_boxes, get_notes
from tests.sources import write_picture

CAT = "cat", 10, 20, 50, 60
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"
ROW = "x.jpg,96,80,cat,10,20,50,60"


def write(folder, *lines: str, pictures=("x.jpg",), name="boxes.csv"):
    for image in pictures:
        write_picture(folder / image)
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
        ("x.jpg,10,20,50,60,cat,96,80",),
    ],
)
def test_table_is_read(tmp_path, lines):
    source = read_folder(write(tmp_path, *lines))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert (source.task, source.defects) == ("detect", ())


@pytest.mark.parametrize("name", ["x", "x.jpg", "/data/far/x.jpg"])
def test_corners_in_one_column_are_inferred_from_the_image_size(tmp_path, name):
    lines = ("image,bbox,class", f'{name},"[50, 60, 90, 75]",cat', f'{name},"[1, 2, 30, 40]",cat')
    source = read_folder(write(tmp_path, *lines))
    assert get_boxes(source) == {"x": [("cat", 50, 60, 90, 75), ("cat", 1, 2, 30, 40)]}
    assert "boxes.csv: the numbers in 'bbox' are taken for x1 y1 x2 y2" in source.remarks
    (tmp_path / "x.jpg").write_bytes(b"")
    assert get_boxes(read_folder(tmp_path))["x"][0] == ("cat", 50, 60, 140, 135)


@pytest.mark.parametrize(
    ("cells", "box"),
    [
        (("12,5", "20", "50,25", "60"), (12.5, 20, 50.25, 60)),
        (("0,125", "0,250", "0,500", "0,750"), (0.125, 0.25, 0.5, 0.75)),
        ((",5", "20", "50,125", "60"), (0.5, 20, 50.125, 60)),
    ],
)
def test_decimal_commas_are_read(tmp_path, cells, box):
    header = "filename;class;xmin;ymin;xmax;ymax"
    source = read_folder(write(tmp_path, header, ";".join(("x.jpg", "cat", *cells))))
    assert get_boxes(source) == {"x": [("cat", *box)]}


@pytest.mark.parametrize(
    "cells", [("1,250",) * 4, ("1.250,5", "1", "2", "3"), ("1,5", "2.5", "3", "4"), ("1,2,3",) * 4]
)
def test_commas_that_may_separate_thousands_are_refused(tmp_path, cells):
    header = "filename;class;xmin;ymin;xmax;ymax"
    with pytest.raises(UserError, match="decimal or separate thousands"):
        read_folder(write(tmp_path, header, ";".join(("x.jpg", "cat", *cells))))


@pytest.mark.parametrize("spelling", ["cat ", " cat", "cat\xa0"])
def test_class_names_that_differ_in_blanks_are_one_class_with_a_remark(tmp_path, spelling):
    source = read_folder(write(tmp_path, HEADER, ROW, ROW.replace("cat", spelling)))
    assert source.names == ("cat",)
    assert any(repr(spelling) in remark and "'cat'" in remark for remark in source.remarks)


def test_blanks_after_each_delimiter_are_no_part_of_a_class(tmp_path):
    source = read_folder(write(tmp_path, HEADER.replace(",", ", "), ROW, ROW.replace(",", ", ")))
    assert (source.names, len(source.remarks)) == (("cat",), 1)


@pytest.mark.parametrize(("cell", "number"), [("1", 1), ("1.0", 1), ("sure", 1), ("7.5", 1), ("", 1)])
def test_column_of_certain_or_other_values_is_no_score(tmp_path, cell, number):
    source = read_folder(write(tmp_path, f"{HEADER},score", f"{ROW},{cell}"))
    assert len(source.images[0].raw.classes) == number


SCORED = "0.91", "0.78", "0.84", "1"


@pytest.mark.parametrize(
    "name", ["conf", "Confidence", "prob", "p", "probability", "confidence score", "pred_score", "Score"]
)
@pytest.mark.parametrize("scores", [SCORED, ("91%", "78%", "84%", "100%")])
def test_table_with_a_score_in_each_row_is_model_output(tmp_path, name, scores):
    write(tmp_path, f"{HEADER},{name}", *(f"{ROW},{score}" for score in scores))
    with pytest.raises(UserError, match="model output"):
        read_folder(tmp_path)
    assert get_boxes(read_folder(tmp_path, ReadOptions(predictions="labels"))) == {"x": [CAT] * 4}


def test_confidences_in_percent_without_a_sign_are_scores(tmp_path):
    write(tmp_path, f"{HEADER},confidence", f"{ROW},87.5", f"{ROW},91")
    with pytest.raises(UserError, match="model output"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ("x.jpg,10,20,50,60,cat,{}", "cat"),
        ("x.jpg,10,20,50,60,{},cat", "cat"),
        ("x.jpg,10,20,50,60,{},3", "3"),
        ("x.jpg,10,20,50,60,{}", "object"),
    ],
)
def test_table_without_a_header_that_ends_with_scores_is_model_output(tmp_path, row, label):
    write(tmp_path, *map(row.format, SCORED))
    assert matches_folder(tmp_path)
    with pytest.raises(UserError, match="model output"):
        read_folder(tmp_path)
    source = read_folder(tmp_path, ReadOptions(predictions="labels"))
    assert get_boxes(source) == {"x": [(label, *CAT[1:])] * 4}


@pytest.mark.parametrize("labels", [("0", "1"), ("1", "2"), ("0.5", "cat")])
def test_classes_without_a_header_stay_classes(tmp_path, labels):
    source = read_folder(write(tmp_path, *(f"x.jpg,10,20,50,60,{label}" for label in labels)))
    assert source.names == labels


def test_rows_with_a_score_among_labels_are_left_out(tmp_path):
    source = read_folder(write(tmp_path, f"{HEADER},score", f"{ROW},", "x.jpg,96,80,dog,1,2,3,4,0.6"))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert any("1 of 2 rows have a score" in remark for remark in source.remarks)


def test_normalized_boxes_are_distinguished_from_pixels(tmp_path):
    source = read_folder(write(tmp_path, "ImageID,LabelName,XMin,XMax,YMin,YMax", "x,cat,0.1,0.5,0.25,0.75"))
    assert get_boxes(source) == {"x": [("cat", 0.1, 0.25, 0.5, 0.75)]}
    assert source.images[0].normalized


def test_classes_without_boxes_are_image_classes(tmp_path):
    source = read_folder(
        write(tmp_path, "image,label", "x.jpg,cat", "y.jpg,dog", "y.jpg,cat", pictures=("x.jpg", "y.jpg"))
    )
    assert (source.task, source.names) == ("classify", ("cat", "dog"))
    assert [image.fault for image in source.images] == ["", "2 classes are given for it: cat, dog"]


def test_one_hot_columns_are_image_classes(tmp_path):
    rows = ["filename, cat, dog", "x.jpg, 1, 0", "y.jpg, 0, 1", "z.jpg, 1, 1"]
    source = read_folder(write(tmp_path, *rows, pictures=("x.jpg", "y.jpg", "z.jpg"), name="_classes.csv"))
    assert matches_folder(tmp_path)
    assert (source.task, source.names) == ("classify", ("cat", "dog"))
    assert get_boxes(source) == {"x": [("cat", 0, 0, 1, 1)], "y": [("dog", 0, 0, 1, 1)], "z": []}
    assert source.images[2].fault == "line 4: 2 classes, but an image has one"
    assert get_notes(source) == {"z": [(True, "line 4: 2 classes, but an image has one")]}


def test_other_table_does_not_match(tmp_path):
    assert not matches_folder(write(tmp_path, "image,label", "x.jpg,cat"))  # it might be anything
    assert not matches_folder(write(tmp_path, "epoch,loss", "1,2"))


def test_row_without_an_image_is_reported(tmp_path):
    source = read_folder(write(tmp_path, HEADER, ROW, ROW.replace("x.jpg", "")))
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
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, row, reason):
    source = read_folder(write(tmp_path, HEADER, ROW, row))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert get_notes(source) == {"x": [(True, f"line 3: {reason}")]}
    assert source.images[0].size == (96, 80)


def test_rows_with_different_image_sizes_are_a_fault(tmp_path):
    source = read_folder(write(tmp_path, HEADER, ROW, ROW.replace("96,80", "80,96")))
    assert source.images[0].fault == "annotated at sizes that differ: [(80, 96), (96, 80)]"


def test_row_without_box_and_class_is_an_image_without_objects(tmp_path):
    source = read_folder(
        write(tmp_path, HEADER, ROW, "y.jpg,96,80,,,,,", pictures=("x.jpg", "y.jpg", "bare.jpg"))
    )
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)], "y": []}
    assert [(d.file, d.reason) for d in source.defects] == [("bare.jpg", "not listed in any annotation file")]


def test_split_column_and_columns_shared_by_all_rows_are_kept(tmp_path):
    rows = [
        "x.jpg,cat,1,2,30,40,train,p1,a",
        "x.jpg,cat,5,6,30,40,train,p1,b",
        "y.jpg,cat,1,2,30,40,test,p2,a",
    ]
    header = "filename,class,xmin,ymin,xmax,ymax,split,patient,note"
    source = read_folder(write(tmp_path, header, *rows, pictures=("x.jpg", "y.jpg")))
    assert [(i.split, i.columns) for i in source.images] == [
        ("train", {"split": "train", "patient": "p1"}),
        ("test", {"split": "test", "patient": "p2", "note": "a"}),
    ]


def test_tables_named_after_splits_assign_splits(tmp_path):
    write(
        tmp_path,
        HEADER,
        ROW,
        ROW.replace("x.", "y."),
        pictures=("x.jpg", "y.jpg", "z.jpg"),
        name="train_labels.csv",
    )
    write(tmp_path, HEADER, ROW.replace("x.", "z."), ROW.replace("x.", "y."), name="test_labels.csv")
    source = read_folder(tmp_path)
    assert [image.split for image in source.images] == ["train", "test", "test"]
    assert get_notes(source) == {"y": [(False, "listed 2 times: its objects are put together")]}


def test_single_table_named_test_assigns_no_split(tmp_path):
    assert [i.split for i in read_folder(write(tmp_path, HEADER, ROW, name="test.csv")).images] == [None]


def test_latin1_table_is_read(tmp_path):
    write(tmp_path, HEADER, ROW)
    (tmp_path / "boxes.csv").write_bytes(f"{HEADER}\n{ROW.replace('cat', 'Käfer')}\n".encode("latin-1"))
    source = read_folder(tmp_path)
    assert source.names == ("Käfer",)
    assert "boxes.csv: no UTF-8, read as Latin-1" in source.remarks


def test_equal_remarks_of_tables_are_merged(tmp_path):
    for name in "abc":
        write(tmp_path, HEADER, ROW.replace("x.", f"{name}."), pictures=(f"{name}.jpg",), name=f"{name}.csv")
    [remark] = read_folder(tmp_path).remarks
    assert remark == "a.csv and 2 more: image 'filename', class 'class', corners xmin, ymin, xmax, ymax"


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", 'filename,class,bbox\n"' + "x" * 200_000])
def test_folder_without_tables_is_refused(tmp_path, text):
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(UserError):
        read_folder(tmp_path)


def test_windturbine_is_read_with_its_splits():
    source = read_folder(find_real_dataset("windturbine"))
    assert matches_folder(find_real_dataset("windturbine"))
    assert sum(len(image.raw.classes) for image in source.images) == 476
    assert [sum(i.split == split for i in source.images) for split in ("train", "test", None)] == [392, 80, 0]
    assert source.names == ("wind turbine",)


def test_bccd_table_equals_its_xml():
    source = read_folder(find_real_dataset("bccd"))
    assert sum(len(image.raw.classes) for image in source.images) == 4888
    assert (len(source.images), source.names) == (364, ("Platelets", "RBC", "WBC"))


TABLE = f'{HEADER},bbox\n{ROW},"[1, 2, 3, 4]"\ny.jpg,96,80,dog,1,2,3,4,\n'.encode()


@given(data=corrupted_bytes(TABLE))
@settings(max_examples=200, deadline=None)
def test_corrupted_table_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_csv"
    write_picture(folder / "x.jpg")
    (folder / "boxes.csv").write_bytes(data)
    check_corrupted_source(read_folder, folder)


def test_marks_of_zero_and_one_are_no_scores_and_a_table_without_a_class_says_what_is_unused(tmp_path):
    lines = ("filename,xmin,ymin,xmax,ymax,score", "x.jpg,10,20,50,60,1", "x.jpg,1,2,30,40,0")
    source = read_folder(write(tmp_path, *lines))
    assert len(get_boxes(source)["x"]) == 2
    assert any("no column is called class; not used: score" in remark for remark in source.remarks)


@pytest.mark.parametrize(
    "cell",
    [
        "{'height': 40, 'width': 30, 'left': 10, 'top': 20}",
        '{""Width"": 30, ""Height"": 40, ""Left"": 10, ""Top"": 20}',
        "{'xmin': 10, 'ymin': 20, 'xmax': 40, 'ymax': 60}",
        "x=10 y=20 w=30 h=40",
    ],
)
def test_numbers_of_a_box_with_names_are_read_by_them(tmp_path, cell):
    write_picture(tmp_path / "x.jpg")
    (tmp_path / "boxes.csv").write_text(f'image,bbox,class\nx.jpg,"{cell}",cat\n')
    source = read_folder(tmp_path)
    assert [image.raw.boxes.tolist() for image in source.images] == [[[10, 20, 40, 60]]]
    assert any("read by their names" in remark for remark in source.remarks)


def test_numbers_of_a_box_with_other_names_are_not_guessed(tmp_path):
    write_picture(tmp_path / "x.jpg")
    cell = "{'cx': 10, 'cy': 20, 'dx': 30, 'dy': 40}"
    (tmp_path / "boxes.csv").write_text(f'image,bbox,class\nx.jpg,"{cell}",cat\nx.jpg,"[1, 2, 3, 4]",cat\n')
    source = read_folder(tmp_path)
    assert [len(image.raw.boxes) for image in source.images] == [1]


@pytest.mark.parametrize("unit", [1, 0.01])
def test_four_corners_are_a_rotated_box(tmp_path, unit):
    corners = [[30, 10], [50, 30], [40, 40], [20, 20]]
    cells = ",".join(f"{value * unit:g}" for corner in corners for value in corner)
    lines = ("file,x1,y1,x2,y2,x3,y3,x4,y4,class", f"x.jpg,{cells},cat")
    source = read_folder(write(tmp_path, *lines))
    [image] = source.images
    assert (source.task, image.normalized) == ("obb", unit < 1)
    assert image.raw.outlines[0][0].tolist() == (np.array(corners) * unit).round(2).tolist()


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file,cx,cy,w,h,angle,class", "x.jpg,30,40,40,40,30,cat"),
        ("file,xmin,ymin,xmax,ymax,rotation,class", "x.jpg,10,20,50,60,-0.5,cat"),
        ("file,bbox_x,bbox_y,bbox_w,bbox_h,bbox_theta,class", "x.jpg,10,20,40,40,1,cat"),
        ("file;xmin;ymin;xmax;ymax;Rot;class", "x.jpg;10;20;50;60;0,5;cat"),
    ],
)
def test_boxes_with_a_rotation_are_refused(tmp_path, header, row):
    write(tmp_path, header, row)
    with pytest.raises(UserError, match="line 2"):
        read_folder(tmp_path)


@pytest.mark.parametrize("cell", ["0", "0.0", "", "upright", "nan", "NaN", "inf"])
def test_boxes_with_a_rotation_of_zero_are_read(tmp_path, cell):
    lines = ("file,xmin,ymin,xmax,ymax,rotation,class", f"x.jpg,10,20,50,60,{cell},cat")
    assert get_boxes(read_folder(write(tmp_path, *lines))) == {"x": [CAT]}


TURNED = ("file,xmin,ymin,xmax,ymax,angle,class",)


def test_angle_that_all_boxes_of_an_image_have_is_of_the_camera_and_told(tmp_path):
    rows = [f"{name}.jpg,{x},20,50,60,{angle},cat" for name, angle in (("x", 90), ("y", 5)) for x in (1, 9)]
    source = read_folder(write(tmp_path, *TURNED, *rows, "z.jpg,1,2,3,4,7,cat", pictures=("x.jpg", "y.jpg")))
    assert len(get_boxes(source)["x"]) == 2
    assert sum("'angle' is left aside" in remark for remark in source.remarks) == 1
    write(tmp_path, *TURNED, *rows, "y.jpg,1,2,3,4,6,cat")
    with pytest.raises(UserError, match="line 2"):
        read_folder(tmp_path)


def test_boxes_with_a_rotation_are_read_where_data_labels_says_what_they_are(tmp_path):
    write(tmp_path, *TURNED, "x.jpg,10,20,50,60,30,cat")
    source = read_folder(tmp_path, ReadOptions(labels="pixels"))
    assert get_boxes(source) == {"x": [CAT]}
    assert sum("'angle' is left aside" in remark for remark in source.remarks) == 1


def test_rotation_of_an_image_without_a_box_is_none_of_a_box(tmp_path):
    rows = ("x.jpg,10,20,50,60,0,cat", "y.jpg,,,,,30,")
    source = read_folder(write(tmp_path, *TURNED, *rows, pictures=("x.jpg", "y.jpg")))
    assert get_boxes(source) == {"x": [CAT], "y": []}


def test_landmarks_without_a_box_are_refused_unless_data_labels_says_that_they_are_corners(tmp_path):
    header = f"file,{','.join(f'x{i},y{i}' for i in range(1, 6))},class"
    write(tmp_path, header, "x.jpg,10,20,50,60,3,4,5,6,7,8,cat")
    with pytest.raises(UserError, match="5 points"):
        read_folder(tmp_path)
    source = read_folder(tmp_path, ReadOptions(labels="pixel_corners"))
    assert get_boxes(source) == {"x": [CAT]}
    assert sum("5 points" in remark for remark in source.remarks) == 1


def test_rotation_of_classified_images_is_a_further_column(tmp_path):
    assert read_folder(write(tmp_path, "file,rotation,class", "x.jpg,90,cat")).task == "classify"


@pytest.mark.parametrize("splits", [("train", "test"), ("test", "train"), ("train", "val"), ("val", "train")])
def test_image_whose_rows_name_several_splits_is_kept_in_the_held_out_one(tmp_path, splits):
    rows = [f"x.jpg,{10 * number},20,50,60,cat,{split}" for number, split in enumerate(splits)]
    source = read_folder(write(tmp_path, "file,xmin,ymin,xmax,ymax,class,split", *rows))
    [image] = source.images
    assert image.split == next(split for split in splits if split != "train")
    assert [(note.dropped, note.kind) for note in image.notes] == [(False, "listed-twice")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file,xmin,ymin,xmax,ymax,class,Segmentation", 'x.jpg,10,20,50,60,cat,"[[1,2,3,4,5,6]]"'),
        ("file,class,encoded_pixels", "x.jpg,cat,10 5"),
    ],
)
def test_column_of_shapes_that_is_not_read_is_told(tmp_path, header, row):
    remarks = read_folder(write(tmp_path, header, row)).remarks
    assert sum("left aside" in remark for remark in remarks) == 1
