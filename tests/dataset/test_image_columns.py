"""Columns of images: written by prepare, read by evaluate, refused where they are of another dataset."""

import json

import pytest

from pipeline.core.errors import DamagedFileError, UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.image_columns import (
    COLUMNS_FILE,
    COLUMNS_FOLDER,
    ImageColumns,
    read_image_columns,
    write_image_columns,
)
from tests.builders import prepared_dataset


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    COLUMNS_FOLDER.mkdir(parents=True)
    return prepared_dataset(PREPARED_FOLDER, images={"train": 1, "test": 2}, pixels=32)


def columns(manifest):
    """Images of two cameras, each with a number of its own."""
    return {
        item.source: ImageColumns(
            "first.png", 0.25, None, {"camera": "AB"[place % 2], "number": str(place), "site": "x"}
        )
        for place, item in enumerate(manifest.items)
    }


def test_what_was_written_is_read(manifest):
    write_image_columns(COLUMNS_FOLDER, manifest, columns(manifest))
    found = read_image_columns(manifest)
    assert list(found) == [item.file for item in manifest.items]
    assert [row.columns["camera"] for row in found.values()] == ["A", "B", "A"]
    assert all(row[:3] == ("first.png", 0.25, None) for row in found.values())


def test_columns_with_one_value_are_left_out(manifest):
    write_image_columns(COLUMNS_FOLDER, manifest, columns(manifest))
    assert all(set(row.columns) == {"camera", "number"} for row in read_image_columns(manifest).values())


def test_images_without_columns_have_groups_of_their_own(manifest):
    assert read_image_columns(manifest) == {item.file: ImageColumns(item.source) for item in manifest.items}


def test_columns_of_another_dataset_are_refused(manifest, tmp_path):
    other = prepared_dataset(tmp_path / "other", images={"test": 2}, pixels=32, seed=1)
    write_image_columns(COLUMNS_FOLDER, other, columns(other))
    with pytest.raises(UserError, match="not of the prepared dataset"):
        read_image_columns(manifest)


@pytest.mark.fault(11, "the file with the columns of the images was cut")
def test_damaged_columns_are_refused(manifest):
    write_image_columns(COLUMNS_FOLDER, manifest, columns(manifest))
    path = COLUMNS_FOLDER / COLUMNS_FILE
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match="cannot be used"):
        read_image_columns(manifest)


@pytest.mark.fault(11, "a digit of the columns of the images is another one")
def test_columns_that_are_valid_and_not_those_of_prepare_are_refused(manifest):
    write_image_columns(COLUMNS_FOLDER, manifest, columns(manifest))
    file = COLUMNS_FOLDER / COLUMNS_FILE
    file.write_text(file.read_text().replace("0.25", "0.35", 1))
    with pytest.raises(DamagedFileError, match="is not as prepare wrote it"):
        read_image_columns(manifest)


def test_columns_of_an_older_version_have_no_hash_of_their_own(manifest):
    write_image_columns(COLUMNS_FOLDER, manifest, columns(manifest))
    file = COLUMNS_FOLDER / COLUMNS_FILE
    raw = json.loads(file.read_text())
    del raw["sha256"]
    file.write_text(json.dumps(raw))
    assert len(read_image_columns(manifest)) == len(manifest.items)
