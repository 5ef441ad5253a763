"""Restore the champion before the present one."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.registry.complete_record import (
    ROLLBACK_TAG,
    complete_last_record,
    describe_rollback,
    format_time,
)
from pipeline.registry.open_registry import open_registry
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.champion_history import (
    ChampionChange,
    ChampionHistory,
    change_champion,
)
from pipeline.tracking.store.registry.registered_model import (
    CHAMPION,
    find_aliased_version,
    has_version,
    hold_registry_lock,
)
from pipeline.tracking.store.registry.version_record import VersionNote, write_version_note


class Rollback(NamedTuple):
    """What a rollback changed.

    Attributes:
        name: Of the registered model.
        version: The champion now.
        replaced: The champion before; None if there was none.
    """

    name: str
    version: str
    replaced: str | None


def restore_champion(config: Config, *, reason: str = "") -> Rollback:
    """Make the champion before the present one the champion again; nothing is judged.

    Args:
        config: `registry` and `tracking` are used.
        reason: Why, for the record.

    Raises:
        UserError: There was no champion before, or its version was deleted.
        ChampionChangedError: Another command changed the champion meanwhile.
    """
    registry = open_registry(config)
    store, name = registry.store, registry.name
    with hold_registry_lock(registry.target):
        history = complete_last_record(store, name)
        current = find_aliased_version(store, name, CHAMPION)
        version = _find_former_champion(store, name, history, current)
        change = ChampionChange("rollback", version, current, reason)
        _record(store, name, change_champion(store, name, change, expected=current))
    return Rollback(name, version, current)


def _find_former_champion(
    store: MlflowClientCache, name: str, history: ChampionHistory, current: str | None
) -> str:
    """Return the champion before the present one; where the alias was moved by hand, the last one of ours."""
    champions = history.list_champions()
    earlier = champions[:-1] if champions[-1:] == (current,) else champions
    if not earlier:
        present = f"before {name}/{current}" if current else f"of {name} yet"
        raise UserError(f"there was no champion {present}: nothing to roll back to")
    if not has_version(store, name, earlier[-1]):
        raise UserError(
            f"{name}/{earlier[-1]}, the champion before, was deleted: promote another version, with --force"
        )
    return earlier[-1]


def _record(store: MlflowClientCache, name: str, change: ChampionChange) -> None:
    line = f"{format_time(change)}: {describe_rollback(name, change)}"
    for version in (change.version, change.replaced):
        if version and has_version(store, name, version):
            write_version_note(store, name, version, VersionNote({ROLLBACK_TAG: line}, line))
