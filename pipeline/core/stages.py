"""The stages of dvc.yaml that follow `compose`, and how a stage confirms what it works from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

STAGES = ("prepare", "augment", "finetune", "evaluate")
"""In the order in which data flows."""


class StageGuard(NamedTuple):
    """What a stage was started with.

    Attributes:
        params: The contents of params.yaml that the configuration was read from.
        confirm: Raises UserError if parameters, code or inputs have changed since. A stage calls it before it
            writes results; it is called again after the stage.
    """

    params: bytes
    confirm: Callable[[], None]


UNGUARDED: Final = StageGuard(b"", lambda: None)
"""Of a stage that is called by a test or a benchmark."""
