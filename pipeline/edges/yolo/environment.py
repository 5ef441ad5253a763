"""What Ultralytics reads from the environment at import: no home folder, no network, no code from files."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Final

from pipeline.edges import files
from pipeline.edges.yolo import threads

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
    scratch = files.project_root() / files.SCRATCH
    os.environ |= {
        "YOLO_CONFIG_DIR": str(scratch / "ultralytics"),
        "YOLO_AUTOINSTALL": "false",  # it would run pip
        "YOLO_OFFLINE": "true",  # no probing for a network, hence no usage events
        "ULTRALYTICS_SAFE_LOAD": "true",  # checkpoints are read with weights_only
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "torchinductor"),  # made at import, in /tmp by default
        "NO_ALBUMENTATIONS_UPDATE": "1",  # Ultralytics imports that library where it is installed
        "ALBUMENTATIONS_NO_TELEMETRY": "1",
    }
    threads.settle()
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
