"""`python -m pipeline data-diff REV_A REV_B [--json]`: what changed from one dataset version to another."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.dataset import diff
from pipeline.dataset.diff import as_json
from pipeline.dataset.history import manifest_at
from pipeline.dataset.manifest import Manifest

USAGE = "data-diff REV_A REV_B [--json]"


def run(arguments: Sequence[str]) -> list[str]:
    """Compare the prepared datasets of two revisions.

    Args:
        arguments: Two git revisions, of which one may be `workspace`, and perhaps `--json`.

    Returns:
        What to print.

    Raises:
        Refused: The arguments are others, or a revision has no dataset that can be read.
    """
    names = [word for word in arguments if word != "--json"]
    if len(names) != 2 or any(name.startswith("-") for name in names):
        raise UserError(
            f"say which two versions to compare: python -m pipeline {USAGE}, such as HEAD workspace"
        )
    old, new = map(manifest_at, names)
    found = diff.compare(old, new)
    if "--json" in arguments:
        sides = {"old": _identity(names[0], old), "new": _identity(names[1], new)}
        return [json.dumps(sides | as_json(found, old, new), indent=2, ensure_ascii=False)]
    return [f"{_headed(names[0], old)} -> {_headed(names[1], new)}", *diff.tell(found, old, new)]


def _identity(name: str, of: Manifest) -> dict[str, object]:
    return {"revision": name, "digest": of.digest, "task": of.task, "images": len(of.items)}


def _headed(name: str, of: Manifest) -> str:
    return f"{name} ({of.digest[:12]}, {format_count(len(of.items), 'image')})"
