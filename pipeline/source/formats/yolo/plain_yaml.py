"""Read YAML safely, and check values of a data.yaml that may be converted to text."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any, Final

import yaml

_MAX_INTEGER_BITS: Final = 64


class TextLoader(yaml.BaseLoader):
    """Load every YAML scalar as the text that is written there: `off`, `007`, `null`. It knows no tags."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping, and refuse a key that occurs twice: YAML keeps the last one."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if len({*keys}) < len(keys):
            twice = Counter(keys).most_common(1)[0][0]
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice} occurs twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def load_yaml_texts(text: str) -> Any:
    """Parse YAML to mappings, lists and texts: nothing is converted, and nothing is run."""
    loader = TextLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def is_plain_value(value: Any) -> bool:
    """Check for a text, a number, a date or nothing.

    A list of YAML aliases to lists may expand to more text than fits in memory, and Python refuses to convert
    very long integers to text.
    """
    if isinstance(value, int):
        return value.bit_length() <= _MAX_INTEGER_BITS
    return isinstance(value, str | float | date | None)
