"""Tell paths from Hydra overrides on a command line, such as `data.labels=pixels`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.config.data import DataConfig
from pipeline.config.source_paths import resolve_source_path

SETTABLE_KEYS: Final = frozenset(
    f"data.{name}"
    for name in DataConfig.model_fields
    if name not in {"source", "classes", "split", "images", "pixels"}
)
"""The keys of conf/data that `use` can set beside the source: those with their value on a line."""


class SourceWords(NamedTuple):
    """The words of a command that names sources.

    Attributes:
        paths: Folders and archives as typed.
        overrides: Hydra overrides.
    """

    paths: list[str]
    overrides: list[str]


def separate_overrides(words: Sequence[str], start: Path) -> SourceWords:
    """Separate paths from overrides: KEY=VALUE is an override, unless there is such a file or folder.

    Args:
        words: As typed.
        start: The folder that relative paths start at.
    """
    overrides = [word for word in words if parse_key(word) and not resolve_source_path(start, word).exists()]
    return SourceWords([word for word in words if word not in overrides], overrides)


def parse_key(override: str) -> str:
    """Return the key of an override; empty if the word has none."""
    found = re.match(r"\+{0,2}([A-Za-z_][\w.]*)=", override)
    return found[1] if found else ""
