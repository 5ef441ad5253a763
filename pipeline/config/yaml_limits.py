"""Limit what a YAML file may hold before it is loaded: its length, its depth, and what its aliases expand to.

A few lines of aliases to aliases expand to billions of values, and loading them takes all memory and time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from pipeline.core.errors import UserError

MAX_BYTES: Final = 4_000_000
"""Length of a configuration file; those of this project have some 2,000 bytes."""
MAX_DEPTH: Final = 50
"""Mappings and lists inside one another."""
MAX_VALUES: Final = 100_000
"""Values of a configuration file, with each alias counted as what it stands for."""


def require_small_yaml(content: bytes, name: str, *, max_values: int = MAX_VALUES) -> None:
    """Require that YAML can be loaded in a moment. YAML that cannot be parsed passes: its reader reports it.

    Args:
        content: The YAML.
        name: The file, for the message.
        max_values: How many values it may hold.

    Raises:
        UserError: It is too long, too deep, or its aliases expand to too many values.
    """
    if len(content) > max(MAX_BYTES, max_values):
        raise UserError(f"{name} is too long for a configuration ({len(content) / 1e6:.0f} MB): shorten it")
    try:
        depth, values = measure_yaml(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return
    if depth > MAX_DEPTH:
        raise UserError(f"{name} has more than {MAX_DEPTH} levels of mappings and lists: use fewer")
    if values > max_values:
        raise UserError(
            f"{name} holds {_format_number(values)} values, its aliases (*name) expanded, "
            f"at most {max_values:,} are allowed: use fewer"
        )


def require_small_yaml_files(folder: Path) -> None:
    """Require that each YAML file below a folder can be loaded in a moment.

    Raises:
        UserError: Names the first that cannot.
    """
    for path in sorted(folder.rglob("*.yaml")):
        require_small_yaml(path.read_bytes(), str(path))


def measure_yaml(content: bytes) -> tuple[int, int]:
    """Return the depth of YAML, and the number of its values with aliases expanded; builds none of them.

    It stops at `MAX_DEPTH` + 1, since parsing deeper YAML takes minutes.

    Raises:
        YAMLError: It cannot be parsed.
    """
    counts, anchors, opened = [0], dict[str | None, int](), list[str | None]()
    deepest = 0
    for event in yaml.parse(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(event.anchor)
            counts.append(1)
            deepest = max(deepest, len(opened))
        elif isinstance(event, yaml.CollectionEndEvent):
            counts[-2] += counts[-1]
            anchors[opened.pop()] = counts.pop()
        elif isinstance(event, yaml.AliasEvent):
            counts[-1] += anchors.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
        if deepest > MAX_DEPTH:
            break
    return deepest, sum(counts)


def _format_number(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"{float(min(number, 10**300)):.0e}"
