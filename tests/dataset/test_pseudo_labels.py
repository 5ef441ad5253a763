"""The record of a folder of pseudo-labels."""

import json

import pytest

from pipeline.core.errors import UserError
from pipeline.dataset.manifest import ImageRecord, Manifest, parse_manifest, serialize_manifest
from pipeline.dataset.pseudo_labels import (
    PSEUDO_LABELS_FILE,
    has_pseudo_labels,
    read_pseudo_label_record,
    write_pseudo_label_record,
)
from tests.builders import TIPS
from tests.pseudo_label_folders import write_pseudo_labels

LABEL = "0 0.5 0.5 0.2 0.4\n"


@pytest.fixture
def record(tmp_path):
    return write_pseudo_labels(tmp_path, {"x.jpg": LABEL}, counts={"labelled": 1}, trained_on=["b" * 64])


def test_a_record_is_read_as_it_was_written(tmp_path, record):
    assert has_pseudo_labels(tmp_path)
    assert read_pseudo_label_record(tmp_path) == record
    assert record.teacher_name == "teacher (run 01234567)"


def test_the_points_of_a_pose_and_what_prepare_adds_are_kept(tmp_path):
    written = write_pseudo_labels(tmp_path, {}, task="pose")
    posed = type(written)(**{**vars(written), "keypoints": TIPS})
    write_pseudo_label_record(tmp_path, posed, {"used": 0, "left_out": []})
    assert read_pseudo_label_record(tmp_path) == posed
    assert json.loads((tmp_path / PSEUDO_LABELS_FILE).read_text())["prepare"]["used"] == 0


@pytest.mark.fault(11, "the record of pseudo-labels is absent, damaged or changed by hand")
@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda text: text[:-20],
        lambda text: text[:0] + "[]",
        lambda text: text.replace('"teacher"', '"another"'),
        lambda text: text.replace("b" * 16, "c" * 16),  # what the teacher learned
        lambda text: text.replace('"x.jpg"', '"../x.jpg"'),
    ],
)
@pytest.mark.usefixtures("record")
def test_a_record_that_is_not_as_written_is_refused(tmp_path, change):
    file = tmp_path / PSEUDO_LABELS_FILE
    if change is None:
        file.unlink()
    else:
        file.write_text(change(file.read_text()))
    with pytest.raises(UserError, match=PSEUDO_LABELS_FILE):
        read_pseudo_label_record(tmp_path)


@pytest.mark.fault(1, "the record of pseudo-labels names a file outside its folder")
@pytest.mark.parametrize("file", ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg", ""])
def test_a_path_out_of_the_folder_is_refused(tmp_path, record, file):
    images = (record.images[0]._replace(file=file),)
    write_pseudo_label_record(tmp_path, type(record)(**{**vars(record), "images": images}))
    with pytest.raises(UserError, match="no path in its folder"):
        read_pseudo_label_record(tmp_path)


@pytest.mark.fault(11, "a record of others that says nothing usable, or names two images alike")
@pytest.mark.parametrize("change", ["twice", "number", "teacher"])
def test_a_record_of_another_shape_is_refused(tmp_path, record, change):
    image = record.images[0]
    changes = {
        "twice": {"images": (image, image._replace(file="y.jpg"))},
        "number": {"images": (image._replace(source=7),)},
        "teacher": {"teacher": "a model"},
    }
    write_pseudo_label_record(tmp_path, type(record)(**{**vars(record), **changes[change]}))
    with pytest.raises(UserError, match="run `finetrack pseudo-label` again"):
        read_pseudo_label_record(tmp_path)


def test_a_manifest_marks_pseudo_labelled_images_and_no_others():
    plain = ImageRecord("train/a.jpg", "s", "l", 8, 8, (0,), "a.jpg")
    pseudo = ImageRecord("train/pseudo_b.jpg", "t", "m", 8, 8, (1,), "b.jpg", pseudo=True)
    labelled, both = Manifest("detect", ("a", "b"), (plain,)), Manifest("detect", ("a", "b"), (plain, pseudo))
    assert "pseudo" not in serialize_manifest(labelled)
    assert parse_manifest(serialize_manifest(both)) == both
    assert both.select_labelled() == labelled
    assert both.pseudo_items == (pseudo,)
    assert len({labelled.digest, both.digest}) == 2
