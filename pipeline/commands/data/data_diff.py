"""Compare two versions of the prepared dataset (`finetrack data-diff`)."""

from __future__ import annotations

import json
from argparse import Namespace

from pipeline.core.text import format_count
from pipeline.dataset.diff import compare_manifests, diff_to_json, format_diff
from pipeline.dataset.history import read_manifest_at_revision
from pipeline.dataset.manifest import Manifest
from pipeline.runtime.output_encoding import needs_ascii_json


def run_command(arguments: Namespace) -> list[str]:
    """Compare the prepared datasets of two revisions.

    Args:
        arguments: `old` and `new`, git revisions of which one may be `workspace`; `json`.

    Returns:
        The lines to print.

    Raises:
        UserError: A revision has no dataset that can be read.
    """
    old, new = map(read_manifest_at_revision, (arguments.old, arguments.new))
    changes = compare_manifests(old, new)
    if arguments.json:
        sides = {"old": _identify(arguments.old, old), "new": _identify(arguments.new, new)}
        values = sides | diff_to_json(changes, old, new)
        return [json.dumps(values, indent=2, ensure_ascii=needs_ascii_json(), allow_nan=False)]
    head = f"{_describe(arguments.old, old)} -> {_describe(arguments.new, new)}"
    return [head, *format_diff(changes, old, new)]


def _identify(name: str, of: Manifest) -> dict[str, object]:
    return {"revision": name, "digest": of.digest, "task": of.task, "images": len(of.items)}


def _describe(name: str, of: Manifest) -> str:
    return f"{name} ({of.digest[:12]}, {format_count(len(of.items), 'image')})"
