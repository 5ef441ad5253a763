"""VisDrone reader: known answers."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.visdrone.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import check_corrupted_source, corrupted_bytes, get_boxes
from tests.sources import write_picture


def write(folder, labels):
    for name, text in labels.items():
        write_picture(folder / "images" / f"{name}.jpg")
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{name}.txt").write_text(text)
    return folder


def test_boxes_have_official_names_and_ignored_regions_are_counted(tmp_path):
    text = "10,20,40,30,1,4,0,0\n1,2,3,4,1,1,0,2,\n5,5,9,9,0,0,0,0\n7,7,2,2,0,11,0,0\n"
    write(tmp_path, {"0000001": text, "0000002": "", "0000003": "3,4,5,6,1,10,1,1\r\n"})
    found = recognize_source("auto", tmp_path)
    assert found.form == "visdrone"
    assert found.source.names == ("pedestrian", "car", "motor")
    assert get_boxes(found.source) == {
        "0000001": [("car", 10, 20, 50, 50), ("pedestrian", 1, 2, 4, 6)],
        "0000002": [],
        "0000003": [("motor", 3, 4, 8, 10)],
    }
    assert found.source.remarks == (
        "2 ignored regions (score 0 or category 0) in 1 image: no objects, left out; the images are used",
    )


def test_category_eleven_is_others_if_it_counts(tmp_path):
    source = read_folder(write(tmp_path, {"a": "7,7,2,2,1,11,0,0\n"}))
    assert get_boxes(source) == {"a": [("others", 7, 7, 9, 9)]}
    assert source.remarks == ()


def test_splits_are_read_from_the_official_folders(tmp_path):
    for split in ("train", "val", "test-dev"):
        write(tmp_path / f"VisDrone2019-DET-{split}", {f"{split}1": "10,20,40,30,1,4,0,0\n"})
        folder = tmp_path / f"VisDrone2019-DET-{split}"
        assert folder.is_dir()
    source = recognize_source("auto", tmp_path).source
    assert sorted((image.path.stem, image.split) for image in source.images) == [
        ("test-dev1", "test"),
        ("train1", "train"),
        ("val1", "val"),
    ]


@pytest.mark.parametrize(
    "line", ["10,20,40", "a,20,40,30,1,4,0,0", "10,20,40,30,1,12,0,0", "1,2,3,4,1,x,0,0"]
)
def test_malformed_line_is_a_finding(tmp_path, line):
    source = read_folder(write(tmp_path, {"a": f"10,20,40,30,1,4,0,0\n{line}\n"}))
    assert get_boxes(source) == {"a": [("car", 10, 20, 50, 50)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


@pytest.mark.parametrize(
    "text", ["10,20,50,60,3\n", "10,20,50,20,50,60,10,60\n", "1,1,10,20,40,30,1,1,1\n", "0 0.5 0.5 0.1 0.1\n"]
)
def test_lines_of_other_formats_are_not_claimed(tmp_path, text):
    write(tmp_path, {"x": text})
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(data=corrupted_bytes(b"10,20,40,30,1,4,0,0\n5,5,9,9,0,0,0,0\n" * 2))
@settings(max_examples=60, deadline=None)
def test_corrupted_text_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "corrupted_visdrone"
    folder.mkdir(exist_ok=True)
    write(folder, {"x": ""})
    (folder / "annotations/x.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)


def test_empty_files_do_not_hide_the_format(tmp_path):
    labels = {f"a{number}": "" for number in range(10)}
    assert matches_folder(write(tmp_path, {**labels, "z": "10,20,40,30,1,4,0,0\n"}))
