"""Tell Hydra's options from overrides on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class HydraWords(NamedTuple):
    """The words of a command for Hydra.

    Attributes:
        overrides: In their order.
        options: Hydra's options and their values, in their order.
        prints_only: Whether Hydra prints something and ends: its own help, the composed configuration, or its
            search path.
    """

    overrides: list[str]
    options: list[str]
    prints_only: bool


def separate_hydra_options(words: Sequence[str]) -> HydraWords:
    """Separate the options of Hydra, which may stand before, between and behind overrides, from these.

    Hydra's own parser takes the first row of overrides alone, and calls all others unknown.

    Raises:
        SystemExit: An option is unknown or lacks its value; argparse has written what is wrong.
    """
    from hydra._internal.utils import get_args_parser

    chosen = get_args_parser().parse_intermixed_args(list(words))
    left, options = list(chosen.overrides), []
    for word in words:
        if left and word == left[0]:
            del left[0]
        else:
            options.append(word)
    prints_only = bool(chosen.hydra_help or chosen.cfg or chosen.info)
    return HydraWords(list(chosen.overrides), options, prints_only)
