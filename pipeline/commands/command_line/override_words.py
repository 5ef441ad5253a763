"""Tell paths from Hydra overrides on a command line, such as `data.labels=pixels`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.compose.override_keys import parse_override_value
from pipeline.config.groups.data import DataConfig
from pipeline.config.override_text import expand_home_in_override
from pipeline.config.source_paths import resolve_source_path
from pipeline.core.errors import UserError

SETTABLE_KEYS: Final = frozenset(
    f"data.{name}"
    for name in DataConfig.model_fields
    if name not in {"source", "classes", "split", "images", "pixels"}
)
"""The keys of conf/data that `use` can set beside the source: those with their value on a line."""

SOURCE_KEY: Final = "data.source"


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

    Messages advise `data.source=[A,B]`: its paths replace the others. In overrides, `~` at the start of an
    unquoted value becomes the home folder.

    Args:
        words: As typed.
        start: The folder that relative paths start at.
    """
    typed = [word for word in words if parse_key(word) and not resolve_source_path(start, word).exists()]
    overrides = [expand_home_in_override(word) for word in typed]
    sources = [word for word in overrides if parse_key(word) == SOURCE_KEY]
    paths = _read_paths(sources[-1]) if sources else [word for word in words if word not in typed]
    return SourceWords(paths, [word for word in overrides if word not in sources])


def _read_paths(override: str) -> list[str]:
    """Return the paths of an override of data.source, as Hydra reads them.

    Raises:
        UserError: Hydra cannot read it, or its value is no path and no list of paths.
    """
    value = parse_override_value(override)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise UserError(f"the command: {override} names no path, and no list of paths")
    return [str(each) for each in values]


def parse_key(override: str) -> str:
    """Return the key of an override; empty if the word has none."""
    found = re.match(r"\+{0,2}([A-Za-z_][\w.]*)=", override)
    return found[1] if found else ""
