from __future__ import annotations

import math

import pytest

from pipeline.yolo.schedules import validation_due


def _validated(every, *, epochs=12, patience=math.inf, bests=()):
    """List the epochs that are validated where the figure rises in `bests` alone; stops as training does."""
    found, best = [], 0
    for epoch in range(1, epochs + 1):
        if not validation_due(epoch, every, last=epochs, best=best, patience=patience):
            continue
        found.append(epoch)
        best = epoch if epoch in bests or not best else best
        if epoch - best >= patience:
            break
    return found


@pytest.mark.parametrize(
    ("every", "more", "answer"),
    [
        (1, {}, list(range(1, 13))),
        (5, {}, [5, 10, 12]),
        (50, {}, [12]),
        (4, {"epochs": 8}, [4, 8]),
        (4, {"patience": 5}, [4, 8, 9]),  # nothing better than epoch 4: over five epochs after it
        (4, {"patience": 5, "bests": {8}}, [4, 8, 12]),
        (4, {"patience": 5, "bests": {9}, "epochs": 20}, [4, 8, 9, 12, 14]),
        (10, {"patience": 3}, [3, 6]),  # patience wants to know sooner
    ],
)
def test_every_few_epochs_the_last_and_where_patience_ends(every, more, answer):
    assert _validated(every, **more) == answer
