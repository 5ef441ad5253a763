"""When layer groups are unfrozen and epochs validated: examples, and properties of every schedule."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.yolo.training.validation_schedule import is_validation_due
from pipeline.yolo.unfreezing import (
    UnfreezingSchedule,
    count_open_groups,
    list_frozen_layers,
    split_into_layer_groups,
)


def schedule(trigger="schedule", *, every=3, stall=2, groups=4, decay=0.7):
    return UnfreezingSchedule(trigger, every, stall, groups, decay)


@pytest.mark.parametrize(
    ("layers", "backbone", "groups", "expected"),
    [
        (24, 11, 2, [(11, 24), (0, 11)]),
        (24, 11, 4, [(11, 24), (8, 11), (4, 8), (0, 4)]),  # YOLO26, YOLO11
        (23, 10, 3, [(10, 23), (5, 10), (0, 5)]),  # YOLOv8
        (5, 2, 3, [(2, 5), (1, 2), (0, 1)]),
    ],
)
def test_groups_run_from_the_head_to_the_stem(layers, backbone, groups, expected):
    found = split_into_layer_groups(layers, backbone=backbone, groups=groups)
    assert [(group.start, group.stop) for group in found] == expected


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_groups_cover_every_layer_once_and_have_equal_sizes(backbone, head, data):
    count = data.draw(st.integers(2, backbone + 1))
    found = split_into_layer_groups(backbone + head, backbone=backbone, groups=count)
    assert sorted(layer for group in found for layer in group) == list(range(backbone + head))
    assert len(found) == count
    sizes = [len(group) for group in found[1:]]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("groups", [1, 13])
def test_number_of_groups_that_does_not_fit_is_rejected(groups):
    with pytest.raises(ValueError, match="2 to 12"):
        split_into_layer_groups(24, backbone=11, groups=groups)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1), (2, 1), (3, 2), (5, 2), (6, 3), (9, 4), (99, 4)])
def test_schedule_opens_a_group_every_few_epochs(epoch, expected):
    assert count_open_groups([0.5] * epoch, schedule(every=3)) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], 1),
        ([0.1, 0.2, 0.3, 0.4], 1),  # it improves: nothing opens
        ([0.3, 0.2, 0.2], 2),  # two epochs below the best
        ([0.3, 0.3, 0.3], 2),  # equal to the best is no improvement
        ([0.3, 0.2, 0.4, 0.3], 1),  # a new best starts the count again
        ([0.3, 0.2, 0.2, 0.2, 0.2], 3),  # the next group needs as many epochs again
        ([0.3] * 50, 4),
    ],
)
def test_plateau_opens_a_group_when_val_map_stalls(history, expected):
    assert count_open_groups(history, schedule("plateau", stall=2)) == expected


@given(
    st.sampled_from(["schedule", "plateau"]),
    st.lists(st.floats(0, 1), max_size=40),
    st.integers(1, 6),
    st.integers(2, 8),
)
def test_groups_open_one_by_one_and_never_close(trigger, history, wait, groups):
    rule = schedule(trigger, every=wait, stall=wait, groups=groups)
    counts = [count_open_groups(history[:epoch], rule) for epoch in range(len(history) + 1)]
    assert counts[0] == 1
    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(counts))
    assert max(counts) <= groups


def test_layers_of_closed_groups_are_frozen():
    groups = split_into_layer_groups(24, backbone=11, groups=4)
    assert list_frozen_layers(groups, 1) == list(range(11))
    assert list_frozen_layers(groups, 3) == [0, 1, 2, 3]
    assert list_frozen_layers(groups, 4) == []


def _validated(every, *, epochs=12, patience=math.inf, bests=()):
    """List the validated epochs until patience ends the training; the metric improves only in `bests`."""
    validated, best = [], 0
    for epoch in range(1, epochs + 1):
        if not is_validation_due(epoch, every, last=epochs, best=best, patience=patience):
            continue
        validated.append(epoch)
        best = epoch if epoch in bests or not best else best
        if epoch - best >= patience:
            break
    return validated


@pytest.mark.parametrize(
    ("every", "settings", "expected"),
    [
        (1, {}, list(range(1, 13))),
        (5, {}, [5, 10, 12]),
        (50, {}, [12]),
        (4, {"epochs": 8}, [4, 8]),
        (4, {"patience": 5}, [4, 8, 9]),  # nothing better than epoch 4: ends five epochs after it
        (4, {"patience": 5, "bests": {8}}, [4, 8, 12]),
        (4, {"patience": 5, "bests": {9}, "epochs": 20}, [4, 8, 9, 12, 14]),
        (10, {"patience": 3}, [3, 6]),  # patience ends sooner than `every`
    ],
)
def test_validation_is_due_every_few_epochs_in_the_last_and_where_patience_ends(every, settings, expected):
    assert _validated(every, **settings) == expected
