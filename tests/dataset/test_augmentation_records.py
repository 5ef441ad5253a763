"""Augmentation records as JSON, and their digest."""

from dataclasses import replace

import pytest

from pipeline.dataset.augmentation_records import (
    AugmentationRecords,
    AugmentedImage,
    PastedObject,
    choose_copy_marker,
    parse_augmentation_records,
    serialize_augmentation_records,
)

COPY = AugmentedImage(
    file="train/ä_a1.jpg",
    source="train/ä.jpg",
    seed=2**48 - 1,
    transforms={"rotate": -1.5, "fliplr": True},
    classes=(1, 0, 1),
    dropped=2,
    sha256="0" * 64,
    labels_sha256="1" * 64,
)
PASTED = (PastedObject("train/c.jpg", 3, (1.5, 0.0, -2.25, 0.0, 1.5, 7.0)),)
OTHER = replace(COPY, file="train/b_a1.png", source="train/b.bmp", classes=(), pasted=PASTED)
RECORDS = AugmentationRecords("2" * 64, (COPY, OTHER))


def test_written_records_are_parsed_back_equal():
    assert parse_augmentation_records(serialize_augmentation_records(RECORDS)) == RECORDS
    assert parse_augmentation_records(
        serialize_augmentation_records(AugmentationRecords("3" * 64, ()))
    ) == AugmentationRecords("3" * 64, ())


def test_each_copy_has_one_line():
    assert (
        sum('"source"' in line for line in serialize_augmentation_records(RECORDS).splitlines())
        == RECORDS.count
        == 2
    )


@pytest.mark.parametrize("change", [("-1.5", "1.5"), ("train/b.bmp", "train/c.bmp"), ("2" * 64, "4" * 64)])
def test_edited_records_do_not_match_their_digest(change):
    with pytest.raises(ValueError, match="digest"):
        parse_augmentation_records(serialize_augmentation_records(RECORDS).replace(*change))


@pytest.mark.parametrize("change", [('"seed"', '"seeds"'), ('"copies"', '"copy"'), ('"digest"', '"sum"')])
def test_missing_field_is_an_error(change):
    with pytest.raises(ValueError, match="missing"):
        parse_augmentation_records(serialize_augmentation_records(RECORDS).replace(*change))


def test_truncated_records_are_an_error():
    with pytest.raises(ValueError, match="line"):
        parse_augmentation_records(serialize_augmentation_records(RECORDS)[:200])


def test_objects_are_counted_by_class():
    assert RECORDS.count_objects() == {0: 1, 1: 2}


@pytest.mark.parametrize(
    ("stems", "mark"),
    [
        (["x", "y"], "_a"),
        (["x", "x_a1"], "_aa"),
        (["x_A12", "x_aa3"], "_aaa"),
        (["x_a", "_a1", "x_a1b"], "_a"),
    ],
)
def test_no_copy_can_have_the_name_of_an_original(stems, mark):
    assert choose_copy_marker(stems) == mark
