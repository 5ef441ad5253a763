from dataclasses import replace

import pytest

from pipeline.dataset import augmentation_records
from pipeline.dataset.augmentation_records import AugmentationRecords, AugmentedImage, PastedObject

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


def test_records_come_back_as_they_were_written():
    assert augmentation_records.parse(augmentation_records.render(RECORDS)) == RECORDS
    assert augmentation_records.parse(
        augmentation_records.render(AugmentationRecords("3" * 64, ()))
    ) == AugmentationRecords("3" * 64, ())


def test_a_copy_has_a_line_of_its_own():
    assert (
        sum('"source"' in line for line in augmentation_records.render(RECORDS).splitlines())
        == RECORDS.count
        == 2
    )


@pytest.mark.parametrize("change", [("-1.5", "1.5"), ("train/b.bmp", "train/c.bmp"), ("2" * 64, "4" * 64)])
def test_a_change_by_hand_does_not_fit_the_digest(change):
    with pytest.raises(ValueError, match="digest"):
        augmentation_records.parse(augmentation_records.render(RECORDS).replace(*change))


@pytest.mark.parametrize("change", [('"seed"', '"seeds"'), ('"copies"', '"copy"'), ('"digest"', '"sum"')])
def test_a_missing_field_is_named(change):
    with pytest.raises(ValueError, match="missing"):
        augmentation_records.parse(augmentation_records.render(RECORDS).replace(*change))


def test_cut_records_are_no_records():
    with pytest.raises(ValueError, match="line"):
        augmentation_records.parse(augmentation_records.render(RECORDS)[:200])


def test_objects_are_counted_by_class():
    assert RECORDS.counts() == {0: 1, 1: 2}


@pytest.mark.parametrize(
    ("stems", "mark"),
    [
        (["x", "y"], "_a"),
        (["x", "x_a1"], "_aa"),
        (["x_A12", "x_aa3"], "_aaa"),
        (["x_a", "_a1", "x_a1b"], "_a"),
    ],
)
def test_no_copy_can_bear_the_name_of_an_original(stems, mark):
    assert augmentation_records.mark(stems) == mark
