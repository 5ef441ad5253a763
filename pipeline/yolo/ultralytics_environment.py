"""Environment variables, log filter and thread count for Ultralytics and torch."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Final

from pipeline.runtime.environment import is_debug_log
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root
from pipeline.yolo.distributed.group_member import forget_foreign_group

IGNORED_LOG_MESSAGES: Final = (
    "Freezing layer",
    "setting 'requires_grad=True'",
    "Creating new Ultralytics Settings",
    "cache='ram' may produce",
    "engine/trainer: ",
    "albumentations: ",
    "Overriding model.yaml nc",
    "Fast image access",
    "requirement ['pi-heif'] not found",
)
"""One line per frozen tensor, all arguments in one line, and hints that do not apply in this project."""

THREADS_VARIABLE: Final = "OMP_NUM_THREADS"
"""OpenMP's variable. Ultralytics sets it to 1 where it is not set, and then ignores it."""

OPENMP_DEFAULTS: Final = {"GOMP_SPINCOUNT": "30000"}
"""How often a thread checks for the other threads before it sleeps. With libgomp's own default a training
next to other work almost stops: threads spin and wait for one that has no core (docs/performance.md)."""

_requested_threads: str | None = None


def set_up_environment() -> None:
    """Set the environment variables. Call it before anything imports Ultralytics."""
    scratch = project_root() / SCRATCH_FOLDER
    os.environ |= {
        "YOLO_CONFIG_DIR": str(scratch / "ultralytics"),
        "YOLO_AUTOINSTALL": "false",  # it would run pip
        "YOLO_OFFLINE": "true",  # no network check, so no usage events
        "ULTRALYTICS_SAFE_LOAD": "true",  # checkpoints are read with weights_only
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "torchinductor"),  # created at import, in /tmp by default
        "NO_ALBUMENTATIONS_UPDATE": "1",  # Ultralytics imports that library where it is installed
        "ALBUMENTATIONS_NO_TELEMETRY": "1",
    }
    remember_requested_threads()
    forget_foreign_group()
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it reports each import of openvino
    for name in ("ultralytics.utils", "ultralytics.nn.tasks"):
        if module := sys.modules.get(name):  # imported before this package, so with its own default
            module.SAFE_LOAD = True  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", message=".*UntypedStorage|TypedStorage is deprecated", module="torch")
    logging.getLogger("ultralytics").addFilter(_is_worth_logging)


def limit_ultralytics_log() -> None:
    """Show only warnings and errors of Ultralytics, unless FINETRACK_LOG=debug.

    Its banner, its table of layers, its progress bars and its hints at folders of its own are left out. It
    takes the log level from its own settings when it is imported, so call this afterwards.
    """
    from ultralytics.utils import LOGGER

    LOGGER.setLevel(logging.INFO if is_debug_log() else logging.WARNING)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(ignored in message for ignored in IGNORED_LOG_MESSAGES)


def remember_requested_threads() -> None:
    """Remember the thread count that the user asks for. Call it before torch and Ultralytics are imported."""
    global _requested_threads
    _requested_threads = os.environ.get(THREADS_VARIABLE)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.update(OPENMP_DEFAULTS | os.environ)


def read_requested_threads() -> int:
    """Return the number of threads that the user's OMP_NUM_THREADS says; 0 where it says none."""
    return int(_requested_threads) if _requested_threads and _requested_threads.isdecimal() else 0
