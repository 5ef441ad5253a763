"""Read the axes of a sweep from its overrides, in Hydra's syntax."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.compose.override_keys import require_known_key, takes_only_integers
from pipeline.compose.stage import CONF, config_errors_as_sentences
from pipeline.core.errors import UserError
from pipeline.sweep.settings import SamplerName, SweepSettings
from pipeline.sweep.space.prepared_spaces import PREPARED_SPACES
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

MAX_VALUES: Final = 20_000
"""Values of an axis, and combinations of a grid."""


class ParsedAxes(NamedTuple):
    """The search space of a command.

    Attributes:
        space: The overrides of all jobs, and the axes.
        sampler: What chooses the points; never auto.
        texts: Of each axis as typed, such as `seed=1,2`.
    """

    space: SearchSpace
    sampler: SamplerName
    texts: tuple[str, ...]


def parse_axes(overrides: Sequence[str], settings: SweepSettings) -> ParsedAxes:
    """Read the search space of a command.

    Raises:
        UserError: A key is unknown, or Hydra cannot read an override, or an axis names no values, one value,
            or a value twice, or the sampler cannot choose from it.
    """
    with open_override_parser() as parse:
        parsed = parse(overrides)
        for word in parsed:
            _require_usable_word(word)
        chosen = [word for word in parsed if word.is_sweep_override()]
        _refuse_repeated_keys(parsed)
        sampler = _choose_sampler(settings, chosen)
        axes = tuple(_build_axis(word, sampler) for word in chosen)
    fixed = tuple(str(word.input_line) for word in parsed if not word.is_sweep_override())
    return ParsedAxes(SearchSpace(fixed, axes), sampler, tuple(str(word.input_line) for word in chosen))


@contextmanager
def open_override_parser() -> Iterator[Any]:
    """Yield a function that parses overrides as Hydra does; `glob(*)` asks conf/ for the names in a group."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with (
        config_errors_as_sentences("the command"),
        initialize_config_dir(str(CONF.resolve()), version_base=None),
    ):
        loader = GlobalHydra.instance().config_loader()
        parser = OverridesParser.create(loader)
        yield lambda words: parser.parse_overrides(list(words))


def check_command_words(words: Sequence[str]) -> None:
    """Check the words of a command before Hydra, which would advise to add an unknown key with `+`.

    Args:
        words: Settings as Hydra spells them, `hydra.sweeper.KEY=VALUE`.

    Raises:
        UserError: A key is unknown; it names the nearest one. Or a setting has several values.
    """
    with open_override_parser() as parse:
        for word in parse(words):
            _require_usable_word(word)


def _require_usable_word(word: Override) -> None:
    key, sweeps = word.key_or_group, word.is_sweep_override()
    if not word.package:
        require_known_key(key)
    if sweeps and word.is_hydra_override():
        text = str(word.input_line).replace("hydra.sweeper.", "sweep.", 1)
        raise UserError(f"the command: {text} gives a setting of the sweep several values: give it one")
    if key == PREPARED_SPACES and not (word.is_add() or word.is_force_add()):
        raise UserError(f"the command: {word.input_line} needs a +: write +{word.input_line}")
    if sweeps and key == PREPARED_SPACES:
        raise UserError(f"the command: {word.input_line} names several prepared sweeps: a command runs one")


def _refuse_repeated_keys(parsed: Sequence[Override]) -> None:
    """Refuse an axis whose key has another override, too; of two values Hydra takes the last."""
    keys = [word.key_or_group for word in parsed]
    for word in parsed:
        if word.is_sweep_override() and keys.count(word.key_or_group) > 1:
            raise UserError(
                f"the command: {word.key_or_group} is given twice, once as {word.input_line}: give it once"
            )


def _choose_sampler(settings: SweepSettings, chosen: Sequence[Override]) -> SamplerName:
    interval = next((word for word in chosen if word.is_interval_sweep()), None)
    if settings.sampler == "auto":
        return "tpe" if interval else "grid"
    if settings.sampler == "grid" and interval:
        key = interval.key_or_group
        raise UserError(
            f"the command: {interval.input_line} names no values for sweep.sampler=grid: "
            f"write {key}=A,B,C or {key}=range(FIRST,END,STEP), or choose another sampler, such as tpe"
        )
    return settings.sampler


def _build_axis(word: Override, sampler: SamplerName) -> SearchAxis:
    if word.is_interval_sweep():
        return _build_interval(word)
    if "log" in getattr(word.value(), "tags", ()):
        raise UserError(
            f"the command: {word.input_line} has values, and only an interval has a scale: leave tag() out"
        )
    if word.is_range_sweep() and sampler != "grid":
        return _build_range(word)
    return _build_choices(word)


def _build_interval(word: Override) -> SearchAxis:
    value: Any = word.value()
    low, high, log = value.start, value.end, "log" in value.tags
    text = f"the command: {word.input_line}"
    if not low < high:
        raise UserError(f"{text} needs a first end below the second")
    if log and low <= 0:
        raise UserError(f"{text} starts at {low:g}, and a logarithmic scale has only values above 0")
    is_integer = isinstance(low, int) and isinstance(high, int)
    if not is_integer and takes_only_integers(word.key_or_group):
        raise UserError(
            f"{text} has values between whole numbers: write "
            f"{word.key_or_group}=int(interval({low:g},{high:g}))"
        )
    return SearchAxis(word.get_key_element(), low=low, high=high, log=log, integer=is_integer)


def _build_range(word: Override) -> SearchAxis:
    """Build the axis of a range for a sampler that knows distances; the end is excluded, as in Hydra."""
    values = _list_range(word)
    is_integer = all(isinstance(value, int) for value in values)
    step = abs(values[1] - values[0]) if is_integer else abs(float(word.value().step))  # type: ignore[union-attr]
    return SearchAxis(
        word.get_key_element(), low=min(values), high=max(values), step=step, integer=is_integer
    )


def _build_choices(word: Override) -> SearchAxis:
    if word.is_range_sweep():
        texts = [str(value) for value in _list_range(word)]
    else:
        _keep_order(word)
        texts = list(word.sweep_string_iterator())
    if not texts:
        raise UserError(f"the command: {word.input_line} fits nothing in {CONF}/{word.key_or_group}")
    repeated = next((text for number, text in enumerate(texts) if text in texts[:number]), None)
    if repeated is not None:
        raise UserError(f"the command: {word.input_line} names {repeated} twice: name each value once")
    if len(texts) == 1:
        raise _build_constant_error(word, texts[0])
    return SearchAxis(word.get_key_element(), tuple(texts))


def _list_range(word: Override) -> list[Any]:
    """List the values of a range, in its order.

    Raises:
        UserError: It has none, one, or too many.
    """
    values = list(islice(_iterate_range(word), MAX_VALUES + 1))
    if not values:
        raise UserError(
            f"the command: {word.input_line} has no values: its end is where it starts, or before"
        )
    if len(values) == 1:
        raise _build_constant_error(word, str(values[0]))
    if len(values) > MAX_VALUES:
        raise UserError(
            f"the command: {word.input_line} has more than {MAX_VALUES:,} values: write interval(A,B)"
        )
    return values


def _iterate_range(word: Override) -> Iterator[int | float]:
    """Yield the values of a range; decimals are as typed, where Hydra's own 0.1 + 0.2 may pass the end."""
    value: Any = word.value()
    numbers = value.start, value.stop, value.step
    start, stop, step = (Decimal(repr(number)) for number in numbers)
    if not step:
        raise UserError(f"the command: {word.input_line} has a step of 0: leave it out, or give it a length")
    is_integer = all(isinstance(number, int) for number in numbers)
    for place in range(max(0, math.ceil((stop - start) / step))):
        number = start + step * place
        yield int(number) if is_integer else float(number)


def _build_constant_error(word: Override, value: str) -> UserError:
    key = word.get_key_element()
    return UserError(
        f"the command: {word.input_line} has one value only: write {key}={value}, or name several"
    )


def _keep_order(word: Override) -> None:
    """Undo shuffle(): a sweep that goes on must find the same order, and the sampler draws at random."""
    if getattr(word.value(), "shuffle", False):
        word.value().shuffle = False  # type: ignore[union-attr]
