"""Which layer groups learn when: tables, and properties over every schedule."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.yolo.schedules import UnfreezingSchedule, frozen, layer_groups, opened


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
    found = layer_groups(layers, backbone=backbone, groups=groups)
    assert [(group.start, group.stop) for group in found] == expected


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_groups_cover_every_layer_once_and_are_even(backbone, head, data):
    count = data.draw(st.integers(2, backbone + 1))
    found = layer_groups(backbone + head, backbone=backbone, groups=count)
    assert sorted(layer for group in found for layer in group) == list(range(backbone + head))
    assert len(found) == count
    sizes = [len(group) for group in found[1:]]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("groups", [1, 13])
def test_more_groups_than_layers_are_refused(groups):
    with pytest.raises(ValueError, match="2 to 12"):
        layer_groups(24, backbone=11, groups=groups)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1), (2, 1), (3, 2), (5, 2), (6, 3), (9, 4), (99, 4)])
def test_a_schedule_opens_a_group_every_so_many_epochs(epoch, expected):
    assert opened([0.5] * epoch, schedule(every=3)) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], 1),
        ([0.1, 0.2, 0.3, 0.4], 1),  # it improves: nothing opens
        ([0.3, 0.2, 0.2], 2),  # two epochs below the best
        ([0.3, 0.3, 0.3], 2),  # as good as the best is no improvement
        ([0.3, 0.2, 0.4, 0.3], 1),  # a new best starts the count anew
        ([0.3, 0.2, 0.2, 0.2, 0.2], 3),  # the next one has to stall as long again
        ([0.3] * 50, 4),
    ],
)
def test_a_plateau_opens_a_group_where_val_map_stalls(history, expected):
    assert opened(history, schedule("plateau", stall=2)) == expected


@given(
    st.sampled_from(["schedule", "plateau"]),
    st.lists(st.floats(0, 1), max_size=40),
    st.integers(1, 6),
    st.integers(2, 8),
)
def test_groups_open_one_by_one_and_never_close(trigger, history, wait, groups):
    rule = schedule(trigger, every=wait, stall=wait, groups=groups)
    counts = [opened(history[:epoch], rule) for epoch in range(len(history) + 1)]
    assert counts[0] == 1
    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(counts))
    assert max(counts) <= groups


def test_frozen_are_the_groups_that_are_not_open():
    groups = layer_groups(24, backbone=11, groups=4)
    assert frozen(groups, 1) == list(range(11))
    assert frozen(groups, 3) == [0, 1, 2, 3]
    assert frozen(groups, 4) == []
