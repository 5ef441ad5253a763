"""Run a stage from a snapshot of its parameters, as the only writer of its outputs."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.compose.code_changes import require_recorded_code
from pipeline.compose.lockfile import diff_composed
from pipeline.compose.recorded_inputs import require_recorded_inputs
from pipeline.compose.stage import CONF, compose_conf
from pipeline.compose.stage_snapshot import (
    StageSnapshot,
    require_composed_params,
    require_unchanged_inputs,
    require_unchanged_parameters,
    require_unchanged_snapshot,
    take_snapshot,
)
from pipeline.config.schema import parse_config
from pipeline.core.config_diff import format_changes, join_first
from pipeline.core.errors import DamagedFileError, UserError
from pipeline.core.stages import StageGuard
from pipeline.runtime.gc_pause import pause_gc
from pipeline.runtime.progress import print_notice
from pipeline.storage.files import hold_writer_lock
from pipeline.storage.fingerprint import fingerprint_config_folder
from pipeline.storage.scratch_folder import create_scratch_folder


def run_stage(stage: str) -> None:
    """Run a stage; refuse its results if anything that decides them changed while it ran.

    The lock is needed because a stage goes on when its `dvc` is killed.

    Args:
        stage: Its name, as in dvc.yaml.

    Raises:
        UserError: The stage cannot run, or DVC would record its results under other values.
    """
    snapshot = take_snapshot(stage)
    config = parse_config(snapshot.values)
    if "DVC_STAGE" not in os.environ:  # DVC records nothing of a stage that is run by hand
        _report_newer_conf(snapshot)
    else:
        require_recorded_code(stage, snapshot.lock)
        require_composed_params(snapshot)
        require_recorded_inputs(stage, snapshot.values, snapshot.lock)
    place = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:12]
    lock = create_scratch_folder("locks") / f"{stage}-{place}.lock"
    with hold_writer_lock(lock, what=f"{stage} in this folder"):
        with pause_gc():
            module = importlib.import_module(f"pipeline.{stage}.stage")
        confirm = partial(require_unchanged_snapshot, snapshot)
        with _clear_damaged_cache(), _name_changed_inputs(snapshot):
            module.run_stage(config, StageGuard(snapshot.params, confirm))
    require_unchanged_parameters(snapshot)


def _report_newer_conf(snapshot: StageSnapshot) -> None:
    """Say what conf/ gives now and params.yaml was not composed from: `dvc repro` would compose it first."""
    lock = snapshot.lock
    if not lock.get("conf") or lock["conf"] == fingerprint_config_folder(CONF):
        return
    try:
        found = format_changes(diff_composed(lock, compose_conf().values))
    except UserError as error:
        found = [str(error)]
    if found:
        named = join_first(found, "`git diff`")
        print_notice(
            f"{snapshot.stage}: conf/ changed since params.yaml was composed ({named}), and "
            "this run uses params.yaml: to use conf/, run `python -m pipeline compose` before"
        )


@contextmanager
def _clear_damaged_cache() -> Iterator[None]:
    """Take a damaged file out of DVC's cache, too: DVC would use it again without reading it."""
    try:
        yield
    except DamagedFileError as error:
        from pipeline.storage.dvc_remotes.cached_copies import set_cached_copy_aside

        aside = set_cached_copy_aside(Path.cwd(), error.file)
        if aside is None:
            raise
        raise UserError(
            f"{error}. DVC's cache had it damaged, too, and has it no more ({aside}): `python -m pipeline "
            "pull` fetches it from a remote that has it, `dvc repro` makes it again"
        ) from None


@contextmanager
def _name_changed_inputs(snapshot: StageSnapshot) -> Iterator[None]:
    """Name the inputs that changed while a stage ran, if it fails: that may be why."""
    try:
        yield
    except Exception:
        require_unchanged_inputs(snapshot)
        raise
