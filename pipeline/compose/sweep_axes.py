"""Check the axes of a sweep before its first job: each value exists and gives its own configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.compose.stage import CONF, ParamValues, compose_conf, config_errors_as_sentences
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_PREPARED_SWEEPS: Final = "sweep"
"""The group of conf/ whose files hold the axes of prepared sweeps."""


class SweepAxis(NamedTuple):
    """One override of a sweep.

    Attributes:
        text: As typed, such as `seed=1,2`.
        words: An override for each of its values that is composed: all files of a group, two of other values.
        repeated: A value that it names twice; empty if there is none.
    """

    text: str
    words: list[str]
    repeated: str = ""


def compose_first_combination(overrides: Sequence[str]) -> ParamValues:
    """Compose conf/ with the first value of each swept override; write nothing.

    The other values of each axis are composed too, each with the first value of everything else, so that a
    typo, and an axis whose jobs would all be the same, are reported before the first job.

    Raises:
        UserError: Hydra cannot compose this, two values of an axis give the same configuration, or there are
            no folds to sweep over.
    """
    with _override_parser() as parse:
        parsed = parse(overrides)
        if not any(word.key_or_group == "hydra/sweeper" for word in parsed):
            _refuse_interval_sweeps(parsed)
        prepared = parse(_list_prepared_axes(parsed))
        axes = [_expand_override(word) for word in (*prepared, *parsed) if not word.is_interval_sweep()]
    first = [axis.words[0] for axis in axes]
    composed = compose_conf(first)
    for place, axis in enumerate(axes):
        known = {composed.raw: axis.words[0]}
        for word in axis.words[1:]:
            raw = compose_conf([*first[:place], word, *first[place + 1 :]]).raw
            if raw in known:
                raise _build_axis_error(axis, known[raw], word)
            known[raw] = word
        if axis.repeated:
            raise _build_axis_error(axis, axis.repeated, axis.repeated)
    _refuse_folds_without_number(axes, composed.values)
    return composed.values


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
    """Expand an override that sweeps into one override per file of a group, or for two other values."""
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
    return SweepAxis(text, distinct if is_group else distinct[:2], repeated)


def _build_axis_error(axis: SweepAxis, first: str, second: str) -> UserError:
    return UserError(
        f"the command: {axis.text} changes nothing from {first} to {second}: these jobs would have the same "
        f"configuration; {_advise(axis)}"
    )


def _advise(axis: SweepAxis) -> str:
    if axis.text.lstrip("+").startswith(f"{_PREPARED_SWEEPS}="):
        return f"a command runs one prepared sweep: {' or '.join(axis.words)}"
    return "name each value once, and only keys that the configuration uses"
