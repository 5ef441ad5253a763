"""WIDER FACE reader: known answers."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.wider.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import check_corrupted_source, corrupted_bytes, get_boxes
from tests.sources import write_picture

LIST = """0--Parade/a.jpg
2
10 20 40 30 0 0 0 0 0 0
1 2 3 4 2 0 0 1 0 0
0--Parade/b.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/c.jpg
1
5 6 7 8 0 0 0 0 0 0
"""


def write(folder, text, split="train", pictures=("0--Parade/a", "0--Parade/b", "1--Handshaking/c")):
    for name in pictures:
        write_picture(folder / f"WIDER_{split}/images/{name}.jpg")
    (folder / "wider_face_split").mkdir(parents=True, exist_ok=True)
    (folder / f"wider_face_split/wider_face_{split}_bbx_gt.txt").write_text(text)
    return folder


def test_faces_are_read_and_invalid_ones_counted(tmp_path):
    (write(tmp_path, LIST) / "wider_face_split/readme.txt").write_text("The format of txt ground truth.\n")
    found = recognize_source("auto", tmp_path)
    assert found.form == "wider"
    assert get_boxes(found.source) == {
        "a": [("face", 10, 20, 50, 50)],
        "b": [],
        "c": [("face", 5, 6, 12, 14)],
    }
    assert not any(image.notes or image.fault for image in found.source.images)
    assert found.source.remarks == (
        "the lists name no classes: each object is a 'face' (data.classes renames it)",
        "1 face marked as invalid in 1 image: left out; the images are used",
    )


def test_splits_are_read_from_the_names_of_the_lists(tmp_path):
    write(tmp_path, LIST)
    write(tmp_path, "0--Parade/d.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n", "val", ("0--Parade/d",))
    write_picture(tmp_path / "WIDER_test/images/0--Parade/e.jpg")
    (tmp_path / "wider_face_split/wider_face_test_filelist.txt").write_text("0--Parade/e.jpg\n")
    source = read_folder(tmp_path)
    assert {image.path.stem: image.split for image in source.images} == {
        **dict.fromkeys("abc", "train"),
        "d": "val",
    }
    assert [(d.file, d.kind) for d in source.defects] == [
        ("WIDER_test/images/0--Parade/e.jpg", "unlisted-image")
    ]


@pytest.mark.parametrize(
    ("block", "boxes", "dropped"),
    [
        ("3\n10 20 40 30 0 0 0 0 0 0\n", [("face", 10, 20, 50, 50)], [True]),
        ("1\n10 20 40 30 0 0 0 0 0 0\n1 2 3 4\n", [("face", 10, 20, 50, 50), ("face", 1, 2, 4, 6)], [False]),
        ("2\n10 20 40 30\n1 2 nonsense 4\n", [("face", 10, 20, 50, 50)], [True]),
        ("1\n1 2 3\n", [], [True]),
        ("0\n", [], []),
    ],
)
def test_lines_that_do_not_fit_their_number_are_findings(tmp_path, block, boxes, dropped):
    source = read_folder(write(tmp_path, LIST + f"x/d.jpg\n{block}", pictures=("0--Parade/a", "x/d")))
    [image] = [image for image in source.images if image.path.stem == "d"]
    assert get_boxes(source)["d"] == boxes
    assert [(note.dropped, note.kind) for note in image.notes] == [(one, "malformed") for one in dropped]


def test_image_without_a_number_is_a_fault(tmp_path):
    source = read_folder(write(tmp_path, LIST + "x/d.jpg\nnonsense\n", pictures=("0--Parade/a", "x/d")))
    assert {image.path.stem: bool(image.fault) for image in source.images} == {"a": False, "d": True}


@pytest.mark.parametrize("text", ["images/a.jpg\nimages/b.jpg\n", "a.jpg 10,20,50,60,0\n", "10 20 50 60 3\n"])
def test_lists_of_other_formats_are_not_claimed(tmp_path, text):
    write(tmp_path, text)
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(data=corrupted_bytes(LIST.encode()))
@settings(max_examples=60, deadline=None)
def test_corrupted_text_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_wider", "")
    (folder / "wider_face_split/wider_face_train_bbx_gt.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)
