"""Write tags and a line of its history into a version of the registered model, and the tags into its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from pipeline.tracking.sanitize import sanitize_tags
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.run_changes import find_active_run, log_tags

HEADING: Final = "\n\n**Decisions**\n"
MAX_DESCRIPTION_LENGTH: Final = 5000
"""Characters of a description, as MLflow's databases have it."""
MAX_LINE_LENGTH: Final = 800
MAX_TAG_LENGTH: Final = 5000
"""Characters of a tag of a version, as MLflow's databases have it."""


class VersionNote(NamedTuple):
    """What is written into a version.

    Attributes:
        tags: Tags of the version, and of its run.
        line: A line below its description.
    """

    tags: Mapping[str, str]
    line: str


def write_version_note(store: MlflowClientCache, name: str, version: str, note: VersionNote) -> None:
    """Write a note into a version and its run; of the lines the newest are kept, as many as fit."""
    found = store.client.get_model_version(name, version)
    tags = sanitize_tags({tag: value[:MAX_TAG_LENGTH] for tag, value in note.tags.items()})
    for tag, value in tags.items():
        store.client.set_model_version_tag(name, version, tag, value)
    text = add_description_line(found.description or "", note.line)
    store.client.update_model_version(name, version, text)
    if found.run_id and find_active_run(store, found.run_id):
        log_tags(store, found.run_id, tags)


def add_description_line(description: str, line: str) -> str:
    """Add a line to the decisions below a description; the oldest ones go where it gets too long."""
    body, _, lines = description.partition(HEADING)
    kept = [*lines.splitlines(), f"- {' '.join(line.split())[:MAX_LINE_LENGTH]}"]
    room = MAX_DESCRIPTION_LENGTH - len(HEADING) - MAX_LINE_LENGTH
    while len(kept) > 1 and len(body[:room]) + len(HEADING) + len("\n".join(kept)) > MAX_DESCRIPTION_LENGTH:
        del kept[0]
    return f"{body[:room]}{HEADING}{chr(10).join(kept)}"
