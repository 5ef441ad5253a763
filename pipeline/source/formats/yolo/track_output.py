"""Tell the output of a tracker from outlines of three points: class x y w h confidence track."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.label_lines import LabelLines

_TRACK_VALUES: Final = 7
_MIN_OBJECTS: Final = 3
_MAX_SHARE: Final = 0.2
_NEARLY_ALL: Final = 0.95


def refuse_tracks(files: Sequence[LabelLines]) -> None:
    """Refuse label files with a confidence and the number of a track behind each box.

    Raises:
        UserError: More than a fifth of the lines are so.
    """
    lengths = np.array([length for file in files for length in file.lengths], np.int64)
    chosen = lengths == _TRACK_VALUES
    if chosen.sum() < _MIN_OBJECTS or chosen.mean() <= _MAX_SHARE:
        return
    values = np.concatenate([file.values for file in files])
    starts = (np.cumsum(lengths) - lengths)[chosen]
    scores, tracks = values[starts + _TRACK_VALUES - 2], values[starts + _TRACK_VALUES - 1]
    are_tracks = (tracks % 1 == 0) & (tracks >= 0)
    are_scores = (scores >= 0) & (scores <= 1)
    if tracks.max() > 1 and min(float(are_tracks.mean()), float(are_scores.mean())) >= _NEARLY_ALL:
        raise UserError(
            f"{int(chosen.sum()):,} of {format_count(len(lengths), 'line')} end with a number between 0 and "
            "1 and a whole number: these look like the output of a tracker (class x y w h confidence track), "
            "not like labels or outlines; export the labels without them"
        )
