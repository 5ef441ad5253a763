"""Selection of classes: keep, drop, merge, rename."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.source.reading.class_selection import apply_class_selection, select_classes

NAMES = ("cat", "dog", "lorry", "truck")


@pytest.mark.parametrize(
    ("wanted", "names", "becomes"),
    [
        ({}, NAMES, (0, 1, 2, 3)),
        ({"keep": ["truck", "cat"]}, ("cat", "truck"), (0, None, None, 1)),
        ({"drop": ["dog"]}, ("cat", "lorry", "truck"), (0, None, 1, 2)),
        ({"keep": ["cat", "dog"], "drop": []}, ("cat", "dog"), (0, 1, None, None)),
        ({"rename": {"dog": "hound"}}, ("cat", "hound", "lorry", "truck"), (0, 1, 2, 3)),
        ({"rename": {"lorry": "truck"}}, ("cat", "dog", "truck"), (0, 1, 2, 2)),
        ({"rename": {"cat": "animal", "dog": "animal"}}, ("animal", "lorry", "truck"), (0, 0, 1, 2)),
        ({"rename": {"cat": "dog", "dog": "cat"}}, ("dog", "cat", "lorry", "truck"), (0, 1, 2, 3)),
        ({"rename": {"cat": "a\nb"}}, ("a\\nb", "dog", "lorry", "truck"), (0, 1, 2, 3)),
        ({"keep": ["lorry"], "rename": {"lorry": "van"}}, ("van",), (None, None, 0, None)),
    ],
)
def test_classes_are_kept_dropped_merged_and_renamed(wanted, names, becomes):
    choice = select_classes(NAMES, **{"keep": None, "drop": [], "rename": {}, **wanted})
    assert choice == (names, becomes)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"keep": ["Cat"]}, r"data.classes.keep names 'Cat', .* did you mean 'cat'\?"),
        ({"drop": ["truk"]}, r"data.classes.drop names 'truk', .* did you mean 'truck'\?"),
        (
            {"rename": {"zebra": "x"}},
            "data.classes.rename names 'zebra', .* there are cat, dog, lorry, truck",
        ),
        ({"keep": ["cat"], "drop": ["cat"]}, "leaves out 'cat', and keeps or renames it too"),
        ({"keep": ["cat"], "rename": {"dog": "x"}}, "leaves out 'dog', and keeps or renames it too"),
        ({"drop": list(NAMES)}, "leaves no class: keep one or more of cat, dog, lorry, truck"),
        ({"keep": []}, "leaves no class"),
        ({"rename": {"cat": "dog "}}, "two classes of data.classes.rename are called 'dog ' and 'dog'"),
        ({"rename": {"cat": "a  b", "dog": "a b"}}, "are called 'a  b' and 'a b'"),
        ({"rename": {"cat": " "}}, "data.classes.rename gives 'cat' an empty name"),
    ],
)
def test_impossible_selection_is_refused(wanted, sentence):
    with pytest.raises(UserError, match=sentence):
        select_classes(NAMES, **{"keep": None, "drop": [], "rename": {}, **wanted})


CLASSES = st.lists(st.integers(-2, 9), max_size=6)


@given(CLASSES, st.sets(st.sampled_from(NAMES), min_size=1), st.booleans())
def test_objects_of_kept_classes_stay_unchanged_and_others_are_removed(classes, keep, shaped):
    count = len(classes)
    raw = RawObjects(
        np.array(classes, np.int64),
        np.arange(count * 4, dtype=np.float64).reshape(-1, 4),
        tuple(f"line {index}" for index in range(count)),
        tuple((np.full((3, 2), index),) for index in range(count)) if shaped else (),
        tuple(np.full((1, 3), index) for index in range(count)) if shaped else (),
    )
    choice = select_classes(NAMES, keep=sorted(keep), drop=[], rename={})
    chosen = apply_class_selection(choice, raw)
    kept = [index for index, cls in enumerate(classes) if not 0 <= cls < len(NAMES) or NAMES[cls] in keep]
    assert chosen.marks == tuple(f"line {index}" for index in kept)
    assert chosen.boxes.tolist() == raw.boxes[kept].tolist()
    assert [part[0, 0] for (part,) in chosen.outlines] == (kept if shaped else [])
    assert [points[0, 0] for points in chosen.keypoints] == (kept if shaped else [])
    for index, new in zip(kept, chosen.classes.tolist(), strict=True):
        known = 0 <= classes[index] < len(NAMES)
        assert choice.names[new] == NAMES[classes[index]] if known else not 0 <= new < len(choice.names)
