"""Tell whether data/prepared was made of the source as it is now.

A sweep and `dvc exp run --temp` prepare the source in folders of their own: data/prepared of the project
stays as it was, and can be older than the test images and labels of the models that came of them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import yaml

from pipeline.compose.input_fingerprints import fingerprint_source_images, is_restored_input
from pipeline.compose.lockfile import read_lock
from pipeline.compose.stage import parse_params
from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, PARAMS_FILE
from pipeline.storage.finished_trainings import DVC_LOCK_FILE


def find_newer_source() -> str:
    """Return the name of the source if it is another one than data/prepared was made of; empty if not.

    It is empty, too, where that cannot be told: the source is absent, as in CI, or nothing is recorded. In a
    restored iteration its record stands, whatever became of the source.
    """
    with suppress(UserError, OSError):
        data = parse_params(PARAMS_FILE.read_bytes()).get("data")
        if not isinstance(data, dict) or not {"format", "source"} <= data.keys():
            return ""
        item, lock = fingerprint_source_images(data), read_lock()
        if is_restored_input(item, lock):
            return ""
        made_from = _read_prepared_source() or lock.get("source")
        return "" if None in {item.fingerprint, made_from} or item.fingerprint == made_from else item.name
    return ""


def _read_prepared_source() -> str | None:
    """Return the fingerprint that dvc.lock has for `prepare`; None if there is none."""
    found: Any = None
    with suppress(OSError, ValueError, yaml.YAMLError):
        found = yaml.safe_load(DVC_LOCK_FILE.read_text(encoding="utf-8"))
    for key in ("stages", "prepare", "params", COMPOSE_LOCK_FILE.name, "source"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None
