"""What Ultralytics reads from the environment at import: no home folder, no network, no code from files."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Final

from pipeline.storage.files import SCRATCH, project_root

NOISE: Final = (
    "Freezing layer",
    "setting 'requires_grad=True'",
    "Creating new Ultralytics Settings",
    "cache='ram' may produce",
    "engine/trainer: ",
    "albumentations: ",
    "Overriding model.yaml nc",
    "Fast image access",
)
"""A line per frozen tensor, all arguments in one line, and remarks on what is arranged otherwise here."""


def settle() -> None:
    """Set the variables; called before anything imports Ultralytics."""
    scratch = project_root() / SCRATCH
    os.environ |= {
        "YOLO_CONFIG_DIR": str(scratch / "ultralytics"),
        "YOLO_AUTOINSTALL": "false",  # it would run pip
        "YOLO_OFFLINE": "true",  # no probing for a network, hence no usage events
        "ULTRALYTICS_SAFE_LOAD": "true",  # checkpoints are read with weights_only
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "torchinductor"),  # made at import, in /tmp by default
        "NO_ALBUMENTATIONS_UPDATE": "1",  # Ultralytics imports that library where it is installed
        "ALBUMENTATIONS_NO_TELEMETRY": "1",
    }
    remember_requested_threads()
    for name in ("ultralytics.utils", "ultralytics.nn.tasks"):
        if module := sys.modules.get(
            name
        ):  # somebody imported it before this package: it has read its default
            module.SAFE_LOAD = True  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", message=".*UntypedStorage|TypedStorage is deprecated", module="torch")
    logging.getLogger("ultralytics").addFilter(_worth_reading)


def _worth_reading(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(noise in message for noise in NOISE)


ASKED: Final = "OMP_NUM_THREADS"
"""OpenMP's variable. Ultralytics sets it to 1 where it is not set, and then takes no notice of it."""


PATIENCE: Final = {"GOMP_SPINCOUNT": "30000"}
"""How often a thread looks whether the others are there before it sleeps. By libgomp's own default a training
beside other work all but stands still: threads look out for one that has no core (docs/performance.md)."""


_asked: str | None = None


def remember_requested_threads() -> None:
    """Remember what the user asks for; called before PyTorch and Ultralytics are imported."""
    global _asked
    _asked = os.environ.get(ASKED)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.update(PATIENCE | os.environ)


def set_torch_threads() -> None:
    """Compute on all cores, or on as many as the user's environment says.

    Physical cores, by affinity and by a container's quota: two threads on one share its arithmetic units.
    Called after Ultralytics chose the device: for the processor it then takes all but one, eight at most.
    """
    import joblib
    import torch

    asked = int(_asked) if _asked and _asked.isdecimal() else 0
    torch.set_num_threads(asked or joblib.cpu_count(only_physical_cores=True))
