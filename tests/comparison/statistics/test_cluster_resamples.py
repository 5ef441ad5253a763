"""Resamples of groups: images of a group come together."""

import numpy as np

from pipeline.comparison.statistics.cluster_resamples import (
    MAX_LEFT_OUT_GROUPS,
    merge_groups,
    resample_groups,
)


def test_groupings_are_merged_where_either_has_images_together():
    assert merge_groups(["abcdef", "aacddf"]).tolist() == [0, 0, 1, 2, 2, 3]
    assert merge_groups(["aabbcc", "abbccd", "xxxxxx"]).tolist() == [0] * 6
    assert merge_groups(["aabb"]).tolist() == [0, 0, 1, 1]


def test_images_of_a_group_are_drawn_equally_often():
    groups = np.array([0, 0, 1, 2, 2, 2])
    found = resample_groups(groups, 40, seed=3)
    assert (found.weights[0] == 1).all()
    assert (found.weights[:, 0] == found.weights[:, 1]).all()
    assert (found.weights[:, 3] == found.weights[:, 5]).all()
    drawn = found.weights[1:41][:, [0, 2, 3]]
    assert (drawn.sum(axis=1) == 3).all()
    assert len(np.unique(drawn, axis=0)) > 5


def test_each_group_is_left_out_once_unless_there_are_many():
    found = resample_groups(np.array([0, 0, 1]), 10, seed=0)
    assert found.weights[11:].tolist() == [[0, 0, 1], [1, 1, 0]]
    many = resample_groups(np.arange(MAX_LEFT_OUT_GROUPS + 1), 5, seed=0)
    assert len(many.weights) == 6


def test_limit_keeps_the_first_resamples_and_all_groups_left_out():
    found = resample_groups(np.array([0, 1, 2]), 10, seed=0)
    fewer = found.limit(4)
    assert fewer.times == 4
    assert (fewer.weights == np.vstack([found.weights[:5], found.weights[11:]])).all()
    assert found.limit(20) is found
