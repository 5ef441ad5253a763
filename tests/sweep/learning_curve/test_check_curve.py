"""What a sweep needs for a learning curve, and what its trainings have beside their fraction."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.storage.files import hash_file
from pipeline.sweep.learning_curve.check_curve import check_learning_curve
from pipeline.sweep.learning_curve.curve_overrides import build_curve_overrides
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace

FIRST = {"finetune": {}, "data": {"unlabelled_source": None}, "model": {"folder": None}}
SETTINGS = SweepSettings(curve=True, test=True, seeds=3)


def make_space(*fractions: str, more: tuple[SearchAxis, ...] = ()) -> SearchSpace:
    return SearchSpace((), (SearchAxis("data.fraction", fractions), *more))


@pytest.mark.parametrize("fractions", [("0.25", "0.5", "1.0"), ("1", "0.5")])
def test_fractions_with_the_whole_pass(fractions):
    check_learning_curve(make_space(*fractions), SETTINGS, FIRST)


@pytest.mark.parametrize(
    ("space", "changes", "first"),
    [
        (SearchSpace((), ()), {}, FIRST),
        (make_space("0.25", "0.5"), {}, FIRST),
        (make_space("0.5", "1", "1.0"), {}, FIRST),
        (make_space("0.5", "1", more=(SearchAxis("finetune.lr0", ("1e-3", "1e-2")),)), {}, FIRST),
        (SearchSpace((), (SearchAxis("data.fraction", low=0.1, high=1.0),)), {}, FIRST),
        *((make_space("0.5", "1"), changes, FIRST) for changes in (
            {"test": False},
            {"folds": 5},
            {"pruner": "median"},
            {"objectives": ("mAP50",)},
            {"trials": 1},
            {"keep": "best"},
        )),
        (make_space("0.5", "1"), {}, FIRST | {"finetune": {"imgsz": "auto"}}),
        *(
            (make_space("0.5", "1"), {}, FIRST | {"finetune": {"distill_model": teacher}})
            for teacher in ("best.pt", "models/finetuned/best.pt")
        ),
        (make_space("0.5", "1"), {}, FIRST | {"data": {"unlabelled_source": "pseudo_labels/more"}}),
    ],
)  # fmt: skip
def test_what_gives_no_curve_is_refused(space, changes, first):
    with pytest.raises(UserError):
        check_learning_curve(space, SETTINGS.model_copy(update=changes), first)


@pytest.mark.parametrize("teacher", ["yolo11n-seg.pt", "weights/yolo11n-seg.pt"])
def test_a_teacher_with_an_official_name_passes(teacher):
    first = FIRST | {"finetune": {"distill_model": teacher}}
    check_learning_curve(make_space("0.5", "1"), SETTINGS, first)


def test_a_list_of_ones_own_makes_no_teacher_official(tmp_path):
    teacher = tmp_path / "parts.pt"
    teacher.write_bytes(b"weights")
    (tmp_path / "SHA256SUMS").write_text(f"{hash_file(teacher)}  parts.pt\n")
    first = FIRST | {"finetune": {"distill_model": str(teacher)}}
    with pytest.raises(UserError, match="may have learned"):
        check_learning_curve(make_space("0.5", "1"), SETTINGS, first)


def make_values(fraction: float, **finetune) -> dict:
    gradual = {"trigger": finetune.pop("trigger", "schedule"), "every": 2, "stall": 0}
    values = {"epochs": 30, "time": None, "patience": 10, "val_every": 1, "warmup_epochs": 1.5}
    return {
        "data": {"fraction": fraction, "fraction_seed": 5},
        "finetune": {**values, "gradual": gradual, **finetune},
        "augment": {"online": {"close_mosaic": 10}},
    }


def test_a_part_of_the_images_is_trained_on_for_as_long():
    assert build_curve_overrides(make_values(0.25), 2) == (
        "data.fraction_seed=7",
        "finetune.epochs=120",
        "finetune.patience=40",
        "finetune.val_every=4",
        "finetune.warmup_epochs=6.0",
        "finetune.gradual.every=8",
        "augment.online.close_mosaic=40",
    )


def test_all_images_are_trained_on_as_configured():
    assert build_curve_overrides(make_values(1.0), 2) == ()


def test_a_time_limit_is_the_same_for_all():
    assert build_curve_overrides(make_values(0.5, time=1.0), 0) == ("data.fraction_seed=5",)


def test_unfreezing_by_the_val_metric_sees_every_epoch():
    words = build_curve_overrides(make_values(0.5, trigger="plateau"), 0)
    assert not any(word.startswith("finetune.val_every") for word in words)


def test_epochs_that_follow_the_images_are_not_lengthened_twice():
    """finetune.epochs=auto divides by data.fraction itself; what counts epochs beside it grows as ever."""
    words = build_curve_overrides(make_values(0.25, epochs="auto"), 0)
    assert not any(word.startswith("finetune.epochs") for word in words)
    assert {"finetune.patience=40", "finetune.warmup_epochs=6.0"} <= {*words}
