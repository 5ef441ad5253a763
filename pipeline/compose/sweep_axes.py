"""Check the axes of a sweep before its first job: each value exists and gives its own configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.compose.ineffective_keys import find_reason_of_no_change
from pipeline.compose.override_keys import require_known_key
from pipeline.compose.stage import CONF, ParamValues, compose_conf, config_errors_as_sentences
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_PREPARED_SWEEPS: Final = "sweep"
"""The group of conf/ whose files hold the axes of prepared sweeps."""

_MAX_COMPOSED_VALUES: Final = 4
"""Values of an axis that are composed before the first job, if they are no files of a group."""

_MAX_CHECKED_JOBS: Final = 50
"""Jobs that are checked until one can run."""


class SweepAxis(NamedTuple):
    """One override of a sweep.

    Attributes:
        text: As typed, such as `seed=1,2`.
        words: An override for each of its values.
        composed: How many of them are composed before the first job: all files of a group, some other values.
        repeated: A value that it names twice; empty if there is none.
    """

    text: str
    words: list[str]
    composed: int = 1
    repeated: str = ""


def compose_first_combination(overrides: Sequence[str]) -> ParamValues:
    """Compose conf/ with the first value of each swept override; write nothing.

    The other values of each axis are composed too, each with the first value of everything else, so that a
    typo, and an axis whose jobs would all be the same, are reported before the first job.

    Raises:
        UserError: A key is unknown, Hydra cannot compose this, two values of an axis give the same results,
            there are no folds to sweep over, or no job can run.
    """
    with _override_parser() as parse:
        parsed = parse(overrides)
        if not any(word.key_or_group == "hydra/sweeper" for word in parsed):
            _refuse_interval_sweeps(parsed)
        chosen = [*parse(_list_prepared_axes(parsed)), *parsed]
        for word in chosen:
            if not word.package:
                require_known_key(word.key_or_group)
        axes = [_expand_override(word) for word in chosen if not word.is_interval_sweep()]
    composed = compose_conf([axis.words[0] for axis in axes])
    for place, axis in enumerate(axes):
        _refuse_equal_values(axes, place)
        if axis.repeated:
            raise _build_axis_error(axis, axis.repeated, axis.repeated)
    _refuse_folds_without_number(axes, composed.values)
    _refuse_impossible_jobs(axes)
    return composed.values


def _refuse_equal_values(axes: Sequence[SweepAxis], place: int) -> None:
    """Refuse an axis with two values that give the same results, whatever the other axes say."""
    axis = axes[place]
    words = axis.words[: axis.composed]
    composed = [_compose_with(axes, place, word) for word in words]
    for number, word in enumerate(words):
        for earlier in range(number):
            reason = find_reason_of_no_change(composed[earlier], composed[number])
            pair = words[earlier], word
            if reason and not _differs_elsewhere(axes, place, pair):
                raise _build_axis_error(axis, *pair, reason=reason)


def _differs_elsewhere(axes: Sequence[SweepAxis], place: int, pair: tuple[str, str]) -> bool:
    """Return whether two values of an axis differ beside another value of another axis."""
    for other, axis in enumerate(axes):
        for word in axis.words[1 : axis.composed] if other != place else ():
            beside = [*axes[:other], axis._replace(words=[word]), *axes[other + 1 :]]
            first, second = (_compose_with(beside, place, value) for value in pair)
            if find_reason_of_no_change(first, second) is None:
                return True
    return False


def _compose_with(axes: Sequence[SweepAxis], place: int, word: str) -> ParamValues:
    """Compose an axis's value with the first value of everything else."""
    first = [axis.words[0] for axis in axes]
    return compose_conf([*first[:place], word, *first[place + 1 :]]).values


def _refuse_impossible_jobs(axes: Sequence[SweepAxis]) -> None:
    """Refuse a sweep none of whose jobs has a valid configuration, with the error of the first job."""
    from pipeline.config.schema import ConfigError, parse_config

    first: ConfigError | None = None
    for number, words in enumerate(product(*(axis.words for axis in axes))):
        if number == _MAX_CHECKED_JOBS:
            return
        try:
            parse_config(compose_conf(words).values)
        except ConfigError as error:
            first = first or error
        else:
            return
    if first:
        raise UserError(f"the command: no job of this sweep can run: {first}")


def _refuse_folds_without_number(axes: Sequence[SweepAxis], values: ParamValues) -> None:
    """Refuse a sweep over data.fold without data.folds before its first training: all others would fail."""
    for axis in axes:
        is_fold = axis.text.lstrip("+").startswith("data.fold=")
        if is_fold and len(axis.words) > 1 and values["data"].get("folds") is None:
            raise UserError(
                f"the command: {axis.text} needs the number of folds: add data.folds=5 for a cross-validation"
            )


@contextmanager
def _override_parser() -> Iterator[Any]:
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


def _refuse_interval_sweeps(parsed: Sequence[Override]) -> None:
    for word in parsed:
        if word.is_interval_sweep():
            key = word.key_or_group
            raise UserError(
                f"the command: {word.input_line} names no values, and Hydra's own sweeper chooses none: "
                f"write {key}=A,B,C or {key}=range(FIRST,END,STEP)"
            )


def _list_prepared_axes(parsed: Sequence[Override]) -> list[str]:
    """List the axes of the prepared sweep that the command names; those that it overrides are left out."""
    from omegaconf import OmegaConf

    typed = {word.key_or_group for word in parsed}
    names = [str(word.value()) for word in parsed if word.key_or_group == _PREPARED_SWEEPS]
    files = [CONF / _PREPARED_SWEEPS / f"{name}.yaml" for name in names]
    found: dict[str, Any] = {}
    for file in files:
        if file.is_file():  # else composing it says which there are
            params = OmegaConf.select(OmegaConf.load(file), "hydra.sweeper.params")
            found |= dict(params or {})
    return [f"{key}={value}" for key, value in found.items() if key.lstrip("+~") not in typed]


def _expand_override(override: Override) -> SweepAxis:
    """Expand an override that sweeps into one override for each value."""
    text = str(override.input_line)
    if not override.is_sweep_override():
        return SweepAxis(text, [text])
    values = list(override.sweep_string_iterator())
    words = [f"{override.get_key_element()}={value}" for value in values]
    if not words:
        raise UserError(f"the command: {text} fits nothing in {CONF}/{override.key_or_group}")
    repeated = next((word for number, word in enumerate(words) if word in words[:number]), "")
    distinct = list(dict.fromkeys(words))
    is_group = (CONF / override.key_or_group).is_dir()
    return SweepAxis(text, distinct, len(distinct) if is_group else _MAX_COMPOSED_VALUES, repeated)


def _build_axis_error(
    axis: SweepAxis, first: str, second: str, *, reason: str = "these jobs would have the same configuration"
) -> UserError:
    return UserError(
        f"the command: {axis.text} changes nothing from {first} to {second}: {reason}; {_advise(axis)}"
    )


def _advise(axis: SweepAxis) -> str:
    if axis.text.lstrip("+").startswith(f"{_PREPARED_SWEEPS}="):
        return f"a command runs one prepared sweep: {' or '.join(axis.words)}"
    return "name each value once, and only keys that the configuration uses"
