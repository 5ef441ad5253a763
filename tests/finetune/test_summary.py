import pytest

from pipeline.finetune.overfitting import OverfittingVerdict
from pipeline.finetune.summary import run_name, summary


@pytest.mark.parametrize(
    ("lr0", "shown"),
    [
        (None, "lrauto"),
        (0.001, "lr1e-3"),
        (0.0005, "lr5e-4"),
        (0.0015, "lr1.5e-3"),  # rounded to one digit it would pass for 2e-3
        (0.01, "lr0.01"),
        (0.0125, "lr0.0125"),
    ],
)
def test_a_run_is_named_by_what_a_person_varies(lr0, shown):
    assert run_name("full", "foundation", lr0=lr0, key="3f2a1c9d") == f"full-foundation-{shown}-3f2a1c"


def test_the_summary_begins_with_the_tasks_own_figure():
    row = {"metrics/mAP50-95": 0.5, "metrics/mask/mAP50-95": 0.25, "metrics/mask/mAP50": 0.75, "seconds": 7.0}
    said = summary([row, row], 1, OverfittingVerdict("mild", 0.1), task="segment")
    assert said == (
        "val mask/mAP50-95 0.250, mask/mAP50 0.750, mAP50-95 0.500 in epoch 1 of 2; "
        "overfitting mild (gap 0.100); 7 seconds of training"
    )
