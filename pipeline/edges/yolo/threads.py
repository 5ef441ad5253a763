"""How many cores a computation on the processor takes: all, where Ultralytics leaves one out."""

from __future__ import annotations

import os
from typing import Final

ASKED: Final = "OMP_NUM_THREADS"
"""OpenMP's variable. Ultralytics sets it to 1 where it is not set, and then takes no notice of it."""

PATIENCE: Final = {"GOMP_SPINCOUNT": "30000"}
"""How often a thread looks whether the others are there before it sleeps. By libgomp's own default a training
beside other work all but stands still: threads look out for one that has no core (docs/performance.md)."""

_asked: str | None = None


def settle() -> None:
    """Remember what the user asks for; called before PyTorch and Ultralytics are imported."""
    global _asked
    _asked = os.environ.get(ASKED)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.update(PATIENCE | os.environ)


def take() -> None:
    """Compute on all cores, or on as many as the user's environment says.

    Physical cores, by affinity and by a container's quota: two threads on one share its arithmetic units.
    Called after Ultralytics chose the device: for the processor it then takes all but one, eight at most.
    """
    import joblib
    import torch

    asked = int(_asked) if _asked and _asked.isdecimal() else 0
    torch.set_num_threads(asked or joblib.cpu_count(only_physical_cores=True))
