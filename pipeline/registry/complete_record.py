"""Write the record of the last change of the champion, where its command ended before: killed, or cut off.

A change is made by one write to MLflow; the alias, tags and descriptions follow it. So the next command
completes what is missing, from the change itself: without the numbers of the gate, which only the first knew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.registry.decision_record import GATE_TAG, LAST_TAG, name_tags
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.champion_history import (
    ChampionChange,
    ChampionHistory,
    complete_last_change,
)
from pipeline.tracking.store.registry.registered_model import has_version
from pipeline.tracking.store.registry.version_record import (
    MAX_DESCRIPTION_LENGTH,
    MAX_LINE_LENGTH,
    VersionNote,
    write_version_note,
)
from pipeline.tracking.store.run_changes import find_active_run

ROLLBACK_TAG: Final = "finetrack.gate.rollback"
"""Tag of both versions of a rollback: when, and why."""
_LONG_DESCRIPTION: Final = MAX_DESCRIPTION_LENGTH - MAX_LINE_LENGTH
"""A longer one may have lost its oldest lines."""
_COMPARED_LENGTH: Final = 200
"""Characters of a sentence that are looked for in a description, which may cut it."""


class ExpectedRecord(NamedTuple):
    """What the record of a change says in one version.

    Attributes:
        version: Its number.
        sign: Tags that only a complete record of this change has.
        sentence: In its description.
        note: The whole record.
    """

    version: str
    sign: dict[str, str]
    sentence: str
    note: VersionNote


def complete_last_record(store: MlflowClientCache, name: str) -> ChampionHistory:
    """Let alias, tags and descriptions follow the last change of the champion; return all changes.

    Args:
        store: Of the registry.
        name: Of the registered model.

    Raises:
        UserError: Nothing was registered under this name.
    """
    history = complete_last_change(store, name)
    for expected in _list_records(name, history.changes[-1]) if history.changes else ():
        if has_version(store, name, expected.version) and not _is_recorded(store, name, expected):
            write_version_note(store, name, expected.version, expected.note)
    return history


def describe_rollback(name: str, change: ChampionChange) -> str:
    """Describe a rollback in one sentence."""
    why = f": {change.reason}" if change.reason else ""
    return f"rolled back from {name}/{change.replaced} to {name}/{change.version}{why}"


def format_time(change: ChampionChange) -> str:
    """Return when a change was made, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(change.time))


def _list_records(name: str, change: ChampionChange) -> Iterator[ExpectedRecord]:
    if change.kind == "rollback":
        sentence = describe_rollback(name, change)
        line = f"{format_time(change)}: {sentence}"
        for version in filter(None, (change.version, change.replaced)):
            yield ExpectedRecord(version, {}, sentence, VersionNote({ROLLBACK_TAG: line}, line))
        return
    line = f"{format_time(change)}: {change.reason}"
    _, _, forced = change.reason.partition(", forced: ")
    numbers = {"version": change.version, "against": change.replaced or None}
    facts = {
        "numbers": json.dumps(
            numbers, allow_nan=False
        ),  # not those of an earlier decision about the same version
        "reasons": change.reason,
        "forced": forced or "no",
        "time": format_time(change),
    }
    outcome = "forced" if forced else "promoted"
    own = {GATE_TAG: outcome, f"{GATE_TAG}.against": change.replaced or "none"}
    yield ExpectedRecord(
        change.version, own, change.reason, VersionNote(own | name_tags(GATE_TAG, facts), line)
    )
    if change.replaced:
        other = {LAST_TAG: "replaced", f"{GATE_TAG}.challenger": change.version}
        note = VersionNote(other | name_tags(LAST_TAG, facts), line)
        yield ExpectedRecord(change.replaced, other, change.reason, note)


def _is_recorded(store: MlflowClientCache, name: str, expected: ExpectedRecord) -> bool:
    """Check tags and description of a version, and the tags of its run, which are written last.

    A long description has lost its oldest lines.
    """
    found = store.client.get_model_version(name, expected.version)
    places = [found.tags]
    run = find_active_run(store, found.run_id)
    if run is not None:  # a deleted one gets no record
        places.append(run.data.tags)
    has_tags = all(expected.sign.items() <= tags.items() for tags in places)
    start = " ".join(expected.sentence.split())[:_COMPARED_LENGTH]
    description = found.description or ""
    return has_tags and (start in description or len(description) > _LONG_DESCRIPTION)
