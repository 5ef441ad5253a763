"""KITTI reader: known answers."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.kitti.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests.readings import check_corrupted_source, corrupted_bytes, get_boxes, get_notes
from tests.sources import write_picture

CAR = "Car 0.00 0 -1.57 10.5 20.25 50.00 60.75 2.85 2.63 12.34 0.47 1.49 69.44 -1.56\n"
CYCLIST = "Cyclist 0.50 2 1.85 1.00 2.00 30.00 40.00 1.86 0.6 2.02 4.59 1.32 45.84 -1.55\n"
DONT_CARE = "DontCare -1 -1 -10 60.0 10.0 70.0 20.0 -1 -1 -1 -1000 -1000 -1000 -10\n"
CALIBRATION = "P0: 7.0e+02 0.0 6.0e+02 0.0 0.0 7.0e+02 1.8e+02 0.0 0.0 0.0 1.0 0.0\n"


def write(folder, labels, *, images="training/image_2", texts="training/label_2"):
    for name, text in labels.items():
        write_picture(folder / images / f"{name}.png")
        (folder / texts).mkdir(parents=True, exist_ok=True)
        (folder / texts / f"{name}.txt").write_text(text)
    return folder


def test_corners_are_read_and_dont_care_regions_are_counted(tmp_path):
    write(tmp_path, {"000000": CAR + DONT_CARE * 2 + CYCLIST, "000001": DONT_CARE, "000002": ""})
    write_picture(tmp_path / "testing/image_2/000000.png")
    found = recognize_source("auto", tmp_path)
    assert found.form == "kitti"
    assert get_boxes(found.source) == {
        "000000": [("Car", 10.5, 20.25, 50, 60.75), ("Cyclist", 1, 2, 30, 40)],
        "000001": [],
        "000002": [],
    }
    assert found.source.remarks == (
        "3 regions marked DontCare in 2 images: no objects, left out; the images are used",
    )
    assert [(d.file, d.kind) for d in found.source.defects] == [
        ("testing/image_2/000000.png", "missing-label")
    ]


def test_labels_of_kitti_with_a_data_yaml_are_not_taken_for_yolo(tmp_path):
    write(tmp_path, {"a": CAR, "b": CAR}, images="images", texts="labels")
    (tmp_path / "data.yaml").write_text("names: [Car]\ntrain: images\n")
    found = recognize_source("auto", tmp_path)
    assert found.form == "kitti"
    assert [len(image.raw.classes) for image in found.source.images] == [1, 1]


def test_one_file_of_kitti_among_labels_of_yolo_is_malformed(tmp_path):
    write(
        tmp_path,
        {"a": CAR, "b": "0 0.5 0.5 0.1 0.1\n", "c": "0 0.5 0.5 0.2 0.1\n"},
        images="images",
        texts="labels",
    )
    found = recognize_source("auto", tmp_path)
    assert found.form == "yolo"
    assert [len(image.raw.classes) for image in found.source.images] == [0, 1, 1]


def test_images_of_the_right_camera_and_calibration_are_left_aside(tmp_path):
    write(tmp_path, {"000000": CAR})
    write_picture(tmp_path / "training/image_3/000000.png")
    (tmp_path / "training/calib").mkdir()
    for number in range(30):
        (tmp_path / f"training/calib/{number:06d}.txt").write_text(CALIBRATION)
    assert matches_folder(tmp_path)
    source = read_folder(tmp_path)
    assert [image.source for image in source.images] == ["training/image_2/000000.png"]
    assert [d.file for d in source.defects] == ["training/image_3/000000.png"]
    assert not get_notes(source)


def test_splits_are_read_from_folders(tmp_path):
    for split in ("train", "val"):
        write(tmp_path, {f"{split}0": CAR}, images=f"{split}/images", texts=f"{split}/labels")
    source = recognize_source("auto", tmp_path).source
    assert [(image.source, image.split) for image in source.images] == [
        ("train/images/train0.png", "train"),
        ("val/images/val0.png", "val"),
    ]


def test_splits_are_read_from_image_sets(tmp_path):
    write(tmp_path, {"000000": CAR, "000001": CAR, "000002": CAR})
    write_picture(tmp_path / "testing/image_2/000000.png")
    lists = {
        "train": "000000\n000002\n",
        "val": "000001\n",
        "trainval": "000000\n000001\n",
        "test": "000000\n",
    }
    (tmp_path / "ImageSets").mkdir()
    for name, text in lists.items():
        (tmp_path / f"ImageSets/{name}.txt").write_text(text)
    source = read_folder(tmp_path)
    assert [(image.path.stem, image.split) for image in source.images] == [
        ("000000", "train"),
        ("000001", "val"),
        ("000002", "train"),
    ]


@pytest.mark.fault(2, "lists name images that others in the source are called like")
@pytest.mark.parametrize(
    ("pattern", "splits"),
    [
        ("{}/image_2/000000.png", ["train", "test", None]),
        ("/ds/{}/label_2/000000.txt", ["train", "test", None]),
        ("image_2\\{}\\000000.png", [None, None, None]),
    ],
)
def test_list_names_the_image_of_its_folder_alone(tmp_path, pattern, splits):
    cameras = ["cam1", "cam2", "cam3"]
    for camera in cameras:
        write(tmp_path, {"000000": CAR}, images=f"{camera}/image_2", texts=f"{camera}/label_2")
    for split, camera in (("train", "cam1"), ("test", "cam2")):
        (tmp_path / f"{split}.txt").write_text(f"{pattern.format(camera)}\n")
    source = read_folder(tmp_path)
    assert [image.split for image in source.images] == splits
    assert len([remark for remark in source.remarks if "in none of their splits" in remark]) == 1


@pytest.mark.parametrize("line", ["Car 0.0 0", "Car 0 0 0 a 20 50 60 1 1 1 1 1 1 1", "nonsense"])
def test_malformed_line_is_a_finding(tmp_path, line):
    source = read_folder(write(tmp_path, {"000000": f"{CAR}{line}\n"}))
    assert get_boxes(source) == {"000000": [("Car", 10.5, 20.25, 50, 60.75)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_lines_with_scores_are_labels_only_if_asked_for(tmp_path):
    write(tmp_path, {"000000": CAR.strip() + " 0.9\n"})
    with pytest.raises(UserError, match=r"data\.predictions=labels"):
        read_folder(tmp_path)
    assert get_boxes(read_folder(tmp_path, ReadOptions(predictions="labels"))) == {
        "000000": [("Car", 10.5, 20.25, 50, 60.75)]
    }


def test_detections_beside_labels_are_left_aside(tmp_path):
    write(tmp_path, {"000000": CAR})
    write(tmp_path, {"000000": CYCLIST.strip() + " 0.9\n"}, texts="results/data")
    source = read_folder(tmp_path)
    assert get_boxes(source) == {"000000": [("Car", 10.5, 20.25, 50, 60.75)]}
    assert any("1 file with scores" in remark for remark in source.remarks)


@pytest.mark.parametrize("text", ["0 0.5 0.5 0.1 0.1\n", "1 2 3 4 5 6 7 8 car 0\n", "10 20 50 60 3\n"])
def test_lines_of_other_formats_are_not_claimed(tmp_path, text):
    write(tmp_path, {"x": text})
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(data=corrupted_bytes((CAR + DONT_CARE + CYCLIST).encode()))
@settings(max_examples=60, deadline=None)
def test_corrupted_text_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "corrupted_kitti"
    write(folder, {"x": ""})
    (folder / "training/label_2/x.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)


def test_a_class_may_have_blanks(tmp_path):
    sitting = CAR.replace("Car", "Person sitting")
    write(tmp_path, {"a": CAR + sitting, "b": sitting})
    found = recognize_source("auto", tmp_path)
    assert get_boxes(found.source) == {
        "a": [("Car", 10.5, 20.25, 50, 60.75), ("Person sitting", 10.5, 20.25, 50, 60.75)],
        "b": [("Person sitting", 10.5, 20.25, 50, 60.75)],
    }
    assert not any("score" in remark for remark in found.source.remarks)


@pytest.mark.parametrize(("scores", "is_read"), [(("1.0", "1.0"), True), (("0.9", "1.0"), False)])
def test_scores_of_one_are_what_tools_write_for_labels(tmp_path, scores, is_read):
    first, second = (CAR.replace("\n", f" {score}\n") for score in scores)
    write(tmp_path, {"a": first, "b": second})
    if is_read:
        assert [len(image.raw.classes) for image in read_folder(tmp_path).images] == [1, 1]
    else:
        with pytest.raises(UserError, match="a model has written them"):
            read_folder(tmp_path)


def test_empty_files_do_not_hide_the_format(tmp_path):
    (tmp_path / "label_2").mkdir()
    for number in range(21):
        text = "Car 0.0 0 0.0 10 20 50 60 1 2 3 4 5 6 0.1\n" if number == 10 else ""
        (tmp_path / f"label_2/{number:06}.txt").write_text(text)
    assert matches_folder(tmp_path)
