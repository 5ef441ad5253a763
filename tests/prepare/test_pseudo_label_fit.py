"""Pseudo-labels fit labelled images of the same task, key points and classes."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.dataset.pseudo_labels import PseudoLabelRecord
from pipeline.prepare.pseudo_labels.require_fit import require_same_labels
from pipeline.source.types import Source


@pytest.mark.parametrize(
    ("points", "fits"),
    [
        (Keypoints(("point_0", "point_1"), (0, 1)), True),  # of a version that took this for known
        (Keypoints(("point_0", "point_1"), ()), True),
        (Keypoints(("left", "right"), ()), False),
        (None, False),
    ],
)
def test_key_points_fit_by_their_names_whatever_is_known_of_mirrored_images(points, fits):
    record = PseudoLabelRecord("pose", ("cat",), points, teacher={}, trained_on=(), images=())
    source = Source(("cat",), (), task="pose", keypoints=Keypoints(("point_0", "point_1"), ()))
    with nullcontext() if fits else pytest.raises(UserError, match="with other key points"):
        require_same_labels(record, source)
