"""Check the axes of a sweep before its first job: each value exists and gives its own configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, compress, islice, product, zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.compose.ineffective_keys import find_reason_of_no_change
from pipeline.compose.job_configs import JobConfigs
from pipeline.compose.override_keys import require_known_key
from pipeline.compose.stage import CONF, ParamValues, config_errors_as_sentences
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_PREPARED_SWEEPS: Final = "sweep"
"""The group of conf/ whose files hold the axes of prepared sweeps."""

_MAX_COMPOSED_VALUES: Final = 4
"""Values of an axis that are composed before the first job, if they are no files of a group."""

_MAX_CHECKED_JOBS: Final = 200
"""Jobs that are checked before the first one; of a larger sweep each value of each axis, up to so many."""

_MAX_OTHER_JOBS: Final = 50
"""Jobs of a larger sweep that are checked for a value that runs in none of those."""

Combination = tuple[str, ...]
"""The overrides of a job."""

ComposeJob = Callable[[Sequence[str]], ParamValues]


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


class SweepPlan(NamedTuple):
    """A sweep before its first job.

    Attributes:
        first: The configuration of the first combination of values.
        impossible: A sentence for each job whose combination of values cannot run.
    """

    first: ParamValues
    impossible: list[str]


def plan_sweep(overrides: Sequence[str]) -> SweepPlan:
    """Compose and check every job of a sweep, the first 200 of a larger one; write nothing.

    A typo, a value that no job can use, and an axis whose jobs would all be the same are so reported before
    the first job trains.

    Raises:
        UserError: A key is unknown, Hydra cannot compose this, two values of an axis give the same results,
            there are no folds to sweep over, or a value can run in no job.
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
    compose = JobConfigs().compose
    first = compose([axis.words[0] for axis in axes])
    for place, axis in enumerate(axes):
        _refuse_equal_values(axes, place, compose)
        if axis.repeated:
            raise _build_axis_error(axis, axis.repeated, axis.repeated)
    _refuse_folds_without_number(axes, first)
    errors = _check_jobs(axes, compose)
    swept = [len(axis.words) > 1 for axis in axes]
    sentences = [f"{' '.join(compress(words, swept))}: {error}" for words, error in errors.items()]
    return SweepPlan(first, sentences)


def _refuse_equal_values(axes: Sequence[SweepAxis], place: int, compose: ComposeJob) -> None:
    """Refuse an axis with two values that give the same results, whatever the other axes say."""
    axis = axes[place]
    words = axis.words[: axis.composed]
    composed = [compose(_choose_words(axes, place, word)) for word in words]
    for number, word in enumerate(words):
        for earlier in range(number):
            reason = find_reason_of_no_change(composed[earlier], composed[number])
            pair = words[earlier], word
            if reason and not _differs_elsewhere(axes, place, pair, compose):
                raise _build_axis_error(axis, *pair, reason=reason)


def _differs_elsewhere(
    axes: Sequence[SweepAxis], place: int, pair: tuple[str, str], compose: ComposeJob
) -> bool:
    """Return whether two values of an axis differ beside another value of another axis."""
    for other, axis in enumerate(axes):
        for word in axis.words[1 : axis.composed] if other != place else ():
            beside = [*axes[:other], axis._replace(words=[word]), *axes[other + 1 :]]
            first, second = (compose(_choose_words(beside, place, value)) for value in pair)
            if find_reason_of_no_change(first, second) is None:
                return True
    return False


def _choose_words(axes: Sequence[SweepAxis], place: int, word: str) -> Combination:
    """Return the overrides with an axis's value beside the first value of everything else."""
    first = [axis.words[0] for axis in axes]
    return (*first[:place], word, *first[place + 1 :])


def _check_jobs(axes: Sequence[SweepAxis], compose: ComposeJob) -> dict[Combination, UserError]:
    """Check the configuration of each job; return the errors of those that cannot run.

    Raises:
        UserError: No job can run, or a value is allowed in none.
    """
    combinations = list(islice(product(*(axis.words for axis in axes)), _MAX_CHECKED_JOBS + 1))
    if len(combinations) > _MAX_CHECKED_JOBS:
        combinations = _list_single_changes(axes)[:_MAX_CHECKED_JOBS]
    errors = {words: error for words in combinations if (error := _find_error(compose(words)))}
    if len(errors) == len(combinations):
        raise UserError(f"the command: no job of this sweep can run: {next(iter(errors.values()))}")
    for word in dict.fromkeys(chain(*errors)):
        runs = any(word in words for words in combinations if words not in errors)
        if not runs and not _runs_elsewhere(axes, word, compose):
            error = next(error for words, error in errors.items() if word in words)
            raise UserError(f"the command: no job with {word} can run: {error}; correct it or leave it out")
    return errors


def _runs_elsewhere(axes: Sequence[SweepAxis], word: str, compose: ComposeJob) -> bool:
    """Check whether a value can run beside a value of another axis, where not all jobs are checked."""
    fixed = [axis._replace(words=[word]) if word in axis.words else axis for axis in axes]
    changes = _list_single_changes(fixed)[:_MAX_OTHER_JOBS]
    return any(_find_error(compose(words)) is None for words in changes)


def _list_single_changes(axes: Sequence[SweepAxis]) -> list[Combination]:
    """List each value of each axis beside the first value of everything else, of all axes in turn."""
    turns = zip_longest(*(axis.words for axis in axes))
    changes = (
        _choose_words(axes, place, word)
        for turn in turns
        for place, word in enumerate(turn)
        if word is not None
    )
    return list(dict.fromkeys(changes))


def _find_error(values: ParamValues) -> UserError | None:
    from pipeline.config.schema import ConfigError, parse_config

    try:
        parse_config(values)
    except ConfigError as error:
        return error
    return None


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
