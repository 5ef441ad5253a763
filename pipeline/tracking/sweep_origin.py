"""What a sweep says about a job by environment variables: a name for its run, and the sweep it belongs to."""

from __future__ import annotations

import json
import os
from typing import Any, Final

RUN_NAME_VARIABLE: Final = "FINETRACK_RUN_NAME"
"""What differs in the sweep, such as `lr0=0.001 augment=light`."""
SWEEP_TAGS_VARIABLE: Final = "FINETRACK_SWEEP_TAGS"
"""JSON with sweep, point and repetition of the job: {"sweep": "lr0-1a2b3c", "point": 3, "repetition": 0}."""
TAG_NAMES: Final = {
    "sweep": "finetrack.sweep",
    "point": "finetrack.sweep.point",
    "repetition": "finetrack.sweep.repetition",
}
MAX_NAME_LENGTH: Final = 200
"""Characters; MLflow's table shows about 40 of them."""


def read_sweep_label() -> str | None:
    """Return what differs in the sweep, on one line; None outside of a sweep."""
    label = " ".join(os.environ.get(RUN_NAME_VARIABLE, "").split())
    return f"{label[: MAX_NAME_LENGTH - 1]}…" if len(label) > MAX_NAME_LENGTH else label or None


def read_sweep_tags() -> dict[str, str]:
    """Return the tags of a run that belongs to a sweep; an empty dict outside of one."""
    try:
        given: Any = json.loads(os.environ.get(SWEEP_TAGS_VARIABLE) or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    found = {tag: given.get(name) for name, tag in TAG_NAMES.items()}
    return {tag: str(value)[:MAX_NAME_LENGTH] for tag, value in found.items() if type(value) in {str, int}}
