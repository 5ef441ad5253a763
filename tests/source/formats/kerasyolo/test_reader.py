"""keras-yolo reader: known answers, in the layout of Roboflow's export."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.kerasyolo.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import check_corrupted_source, corrupted_bytes, get_boxes, get_notes
from tests.sources import write_picture


def write_list(folder, lines, names="cat\ndog\n"):
    for line in lines:
        write_picture(folder / f"{line.partition('.jpg')[0]}.jpg")
    (folder / "_annotations.txt").write_text("\n".join(lines) + "\n")
    if names:
        (folder / "_classes.txt").write_text(names)
    return folder


def test_boxes_of_a_line_belong_to_its_image(tmp_path):
    folder = write_list(tmp_path, ["a.jpg 10,20,50,60,1 1,2,30,40,0", "my cat.jpg 5,6,7,18,0", "c.jpg"])
    source = read_folder(folder)
    assert matches_folder(folder)
    assert get_boxes(source) == {
        "a": [("dog", 10, 20, 50, 60), ("cat", 1, 2, 30, 40)],
        "my cat": [("cat", 5, 6, 7, 18)],
        "c": [],
    }
    assert source.names == ("cat", "dog")
    assert not source.defects


def test_each_split_has_its_list(tmp_path):
    for split in ("train", "valid", "test"):
        write_list(tmp_path / split, [f"{split}.jpg 10,20,50,60,1"])
    found = recognize_source("auto", tmp_path)
    assert found.form == "kerasyolo"
    assert {image.source: image.split for image in found.source.images} == {
        "test/test.jpg": "test",
        "train/train.jpg": "train",
        "valid/valid.jpg": "val",
    }


def test_list_explains_more_than_one_yolo_label_beside_it(tmp_path):
    write_list(tmp_path / "train", [f"{number}.jpg 10,20,50,60,1" for number in range(9)])
    (tmp_path / "train/3.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    found = recognize_source("auto", tmp_path)
    assert (found.form, len(found.source.images)) == ("kerasyolo", 9)
    assert any("yolo" in remark for remark in found.source.remarks)


def test_classes_without_names_are_called_by_number(tmp_path):
    source = read_folder(write_list(tmp_path, ["a.jpg 10,20,50,60,3"], names=None))
    assert source.names == ("class_3",)
    assert any("without a name" in remark for remark in source.remarks)


def test_contradicting_class_files_are_refused(tmp_path):
    for split, names in (("train", "cat\ndog\n"), ("valid", "dog\ncat\n")):
        write_list(tmp_path / split, [f"{split}.jpg 10,20,50,60,1"], names=names)
    with pytest.raises(UserError, match=r"\(cat, dog\).*\(dog, cat\) name the classes"):
        read_folder(tmp_path)


def test_invalid_box_becomes_a_note_and_others_are_read(tmp_path):
    source = read_folder(write_list(tmp_path, ["a.jpg 10,20,50,60,1 1,2,3 4,5,26,27,0"]))
    assert get_boxes(source) == {"a": [("dog", 10, 20, 50, 60), ("cat", 4, 5, 26, 27)]}
    assert get_notes(source) == {"a": [(True, "line 1, box 2: not x1,y1,x2,y2,class: '1,2,3'")]}


@pytest.mark.parametrize("text", ["0 0.5 0.5 0.1 0.1\n", "a.jpg\n", "10 20 30 40 5\n", "a.jpg a.png\n", ""])
def test_other_text_does_not_match(tmp_path, text):
    write_picture(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text(text)
    assert not matches_folder(tmp_path)


@given(data=corrupted_bytes(b"x.jpg 10,20,50,60,1 1,2,30,40,0\nx.jpg 1,2,3,4,0\n"))
@settings(max_examples=60, deadline=None)
def test_corrupted_list_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_kerasyolo"
    write_picture(folder / "x.jpg")
    (folder / "_annotations.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)
