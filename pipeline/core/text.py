"""A number with what it counts in the right form: 1 image, 2 images."""

from __future__ import annotations


def format_count(number: int, one: str, many: str = "") -> str:
    """Say how many there are.

    Args:
        number: How many.
        one: What one is called, with its verb where there is one: `image`, `image is`.
        many: What several are called, where that is not `one` with the ending of its last word.
    """
    return f"{number:,} {one if number == 1 else many or _several(one)}"


def _several(one: str) -> str:
    if one.endswith(("s", "x", "ch", "sh")):
        return f"{one}es"
    return f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
