"""What a sweep says about a job by environment variables."""

from __future__ import annotations

import pytest

from pipeline.tracking.sweep_origin import (
    MAX_NAME_LENGTH,
    RUN_NAME_VARIABLE,
    SWEEP_TAGS_VARIABLE,
    read_sweep_label,
    read_sweep_tags,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("lr0=0.001 augment=light", "lr0=0.001 augment=light"),
        ("a\n\tb ", "a b"),
        ("x" * 5000, "x" * (MAX_NAME_LENGTH - 1) + "…"),
    ],
)
def test_label_is_one_short_line(monkeypatch, given, expected):
    monkeypatch.delenv(RUN_NAME_VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(RUN_NAME_VARIABLE, given)
    assert read_sweep_label() == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", {}),
        ("no json", {}),
        ("[" * 100_000, {}),
        ("[1]", {}),
        ('{"sweep": "a", "point": 3}', {"finetrack.sweep": "a", "finetrack.sweep.point": "3"}),
        ('{"sweep": {"b": 1}, "repetition": null, "mlflow.user": "c"}', {}),
    ],
)
def test_only_the_known_tags_are_read(monkeypatch, given, expected):
    monkeypatch.setenv(SWEEP_TAGS_VARIABLE, given)
    assert read_sweep_tags() == expected
