"""Take all images of a source in: with threads of this machine, or on the nodes of a cluster.

What examining files told is remembered here, by one process alone. To a node goes along what is known of an
image, and what was not known comes back with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.edges import images, intake
from pipeline.edges.datasets import Annotated
from pipeline.edges.dealing import Each
from pipeline.edges.examined import Memory
from pipeline.edges.images import Usable
from pipeline.edges.intake import Outcome, Terms


class Arrival(NamedTuple):
    """An image of the source, and the file that a mended copy is kept in."""

    entry: Annotated
    hold: Path


class Carried(NamedTuple):
    """An image on its way to a node, and what is known of its file."""

    arrival: Arrival
    known: Usable | None


def here(
    todo: Iterable[Arrival], terms: Terms, memory: Memory, *, each: Each, total: int
) -> Iterator[Outcome]:
    """Take images in by threads of this machine, which ask the memory themselves.

    Args:
        todo: The images.
        terms: What they are checked for.
        memory: What is known of their files.
        each: Deals out to this machine.
        total: Their number.
    """
    return each(partial(_take, terms._replace(examine=memory.examine)), todo, total=total, what="prepare")


def elsewhere(
    todo: Iterable[Arrival], terms: Terms, memory: Memory, *, each: Each, total: int
) -> Iterator[Outcome]:
    """Take images in on the nodes of a cluster.

    Args:
        todo: The images.
        terms: What they are checked for.
        memory: What is known of their files.
        each: Deals out to the cluster.
        total: Their number.
    """
    asked = time.time_ns()
    carried = (
        Carried(arrival, None if arrival.entry.load else memory.recall(arrival.entry.path))
        for arrival in todo
    )
    for outcome, found in each(partial(_take_carried, terms), carried, total=total, what="prepare"):
        if found:
            memory.remember(found, asked=asked)
        yield outcome


def _take(terms: Terms, arrival: Arrival) -> Outcome:
    return intake.take(arrival.entry, terms, hold=arrival.hold)


def _take_carried(terms: Terms, carried: Carried) -> tuple[Outcome, Usable | None]:
    """Take an image in; return what its file turned out to be, too, where it goes on as it is."""
    found: list[Usable] = []

    def examine(path: Path, load: Callable[[bytes], bytes] | None = None) -> Usable:
        if carried.known:
            return carried.known
        found.append(images.examine(path, load))
        return found[0]

    outcome = _take(terms._replace(examine=examine), carried.arrival)
    return outcome, found[0] if found and found[0].original else None
