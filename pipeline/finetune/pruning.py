"""Report the val metric of an epoch to the sweep of a training, which may end it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.metric_names import VAL_GROUP, get_main_metric
from pipeline.core.tasks import Task
from pipeline.runtime.epoch_channel import report_epoch


def ask_whether_pruned(row: Mapping[str, float], task: Task, epochs: int | None) -> bool | None:
    """Report an epoch, and return whether the training ends after it; None for one that was not validated.

    Args:
        row: The figures of the epoch. Only the main metric of the task on val is reported.
        task: Of the training.
        epochs: How many there will be at most; None where a time limit decides.
    """
    name = get_main_metric(task)
    value = row.get(f"{VAL_GROUP}/{name}")
    if value is None:
        return None
    return report_epoch(int(row["epoch"]), epochs, metric=name, value=value)
