"""Format a number with its noun in the singular or plural: 1 image, 2 images."""

from __future__ import annotations


def format_count(number: int, one: str, many: str = "") -> str:
    """Format a number with its noun: `1 image`, `1,200 images`.

    Args:
        number: How many.
        one: The singular, with a verb if there is one: `image`, `image is`.
        many: The plural, if it is not `one` with the plural ending of its last word.
    """
    return f"{number:,} {one if number == 1 else many or _pluralize(one)}"


def _pluralize(one: str) -> str:
    if one.endswith(("s", "x", "ch", "sh")):
        return f"{one}es"
    return f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
