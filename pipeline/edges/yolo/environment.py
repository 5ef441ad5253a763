"""What Ultralytics reads from the environment at import: no home folder, no network, no code from files."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Final

from pipeline.edges import files

NOISE: Final = (
    "Freezing layer",
    "setting 'requires_grad=True'",
    "Creating new Ultralytics Settings",
    "cache='ram' may produce",
    "Logging results to",
)
"""A line per frozen tensor, and remarks on what this project has arranged otherwise."""


def settle() -> None:
    """Set the variables; called before anything imports Ultralytics."""
    scratch = files.project_root() / files.SCRATCH
    os.environ |= {
        "YOLO_CONFIG_DIR": str(scratch / "ultralytics"),
        "MPLCONFIGDIR": str(scratch / "matplotlib"),
        "YOLO_AUTOINSTALL": "false",  # it would run pip
        "YOLO_OFFLINE": "true",  # no probing for a network, hence no usage events
        "ULTRALYTICS_SAFE_LOAD": "true",  # checkpoints are read with weights_only
        "NO_ALBUMENTATIONS_UPDATE": "1",  # Ultralytics imports that library where it is installed
        "ALBUMENTATIONS_NO_TELEMETRY": "1",
    }
    warnings.filterwarnings("ignore", message=".*UntypedStorage|TypedStorage is deprecated", module="torch")
    logging.getLogger("ultralytics").addFilter(_worth_reading)


def _worth_reading(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(noise in message for noise in NOISE)
