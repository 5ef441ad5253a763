"""Check the configuration of the next run, and find the tracking store that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import PARAMS_FILE
from pipeline.doctor.check_finding import CheckFinding

if TYPE_CHECKING:
    from pipeline.config.schema import Config
    from pipeline.doctor.examined_project import ExaminedProject
    from pipeline.tracking.target import TrackingTarget

DEFAULT_DATABASE: Final = "mlflow.db"
_UNREADABLE: Final = "mend conf/ (`git diff conf` shows what changed); an edited params.yaml may be deleted"


def check_configuration(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that the configuration of the next `dvc repro` can run, and that its source exists."""
    try:
        config = project.config
    except UserError as error:
        yield CheckFinding("fault", str(error), _UNREADABLE)
        return
    from pipeline.config.source_paths import list_source_paths, resolve_source_path

    is_complete = True
    for key in ("source", "unlabelled_source"):
        paths = list_source_paths(getattr(config.data, key))
        absent = [path for path in paths if not resolve_source_path(project.root, path).exists()]
        if absent:
            is_complete = False
            yield CheckFinding(
                "warning",
                f"data.{key} is absent: {', '.join(absent)}; prepared images go on being used",
                f"mount its disk, or set data.{key}",
            )
    if is_complete:
        source = config.data.source_text or f"data={config.data.format}"
        yield CheckFinding("ok", f"the next run: {source}, finetune={config.finetune.strategy}")


def read_planned_config(scratch: Path) -> Config:
    """Return the configuration of the next `dvc repro`, as `plan_config` does, and write nothing.

    Args:
        scratch: The scratch folder, with the cache of values that were checked before; it need not exist.

    Raises:
        UserError: It cannot be read, or cannot run.
    """
    from pipeline.compose.lockfile import read_lock
    from pipeline.compose.stage import CONF, compose_conf
    from pipeline.config.schema import ConfigError, parse_config
    from pipeline.core.config_diff import diff_configs
    from pipeline.storage.fingerprint import fingerprint_config_folder

    lock = read_lock()
    raw = PARAMS_FILE.read_bytes() if PARAMS_FILE.exists() else None
    try:
        if raw is None or lock.get("conf") != fingerprint_config_folder(CONF):
            composed = compose_conf().values
            before = json.loads(json.dumps(composed, allow_nan=False))
            if raw is None or diff_configs(lock.get("composed", {}), before):
                return parse_config(composed)
        return parse_config(_read_params(raw, scratch))
    except ConfigError as error:
        raise UserError(f"the configuration: {error}") from None


def _read_params(raw: bytes, scratch: Path) -> dict[str, Any]:
    from pipeline.compose.lockfile import recall_checked_values
    from pipeline.compose.stage import parse_params

    known = recall_checked_values(raw) if (scratch / "composed").is_dir() else None
    return known or parse_params(raw)


def find_tracking_target(project: ExaminedProject) -> TrackingTarget | None:
    """Return the MLflow store of the configuration, or else of the last one that was composed.

    Without any, it is mlflow.db, if it exists.
    """
    from pipeline.compose.lockfile import read_lock
    from pipeline.tracking.target import TrackingTarget

    with suppress(UserError, ImportError):
        where = project.config.tracking
        return TrackingTarget(where.uri, where.experiment, where.timeout)
    last = read_lock().get("composed", {}).get("tracking", {})
    with suppress(UserError, KeyError, TypeError):
        return TrackingTarget(last["uri"], last["experiment"], float(last["timeout"]))
    if (project.root / DEFAULT_DATABASE).exists():
        return TrackingTarget(f"sqlite:///{DEFAULT_DATABASE}", "finetrack")
    return None
