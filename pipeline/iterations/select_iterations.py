"""Filter and sort iterations, as the options of `finetrack runs` say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from pipeline.core.config_diff import format_yaml_value
from pipeline.core.errors import UserError
from pipeline.core.metric_names import MAIN_METRICS
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.iteration_state import STATES, get_state
from pipeline.iterations.tracked_iteration import parse_param

SORT_KEYS: Final = ("started", "val", "test", "seconds", "name")
"""`started`, `val` and `test`: the highest first; `seconds`, `name`: the lowest first."""


INDIRECT_KEYS: Final = ("data.epochs", "data.imgsz")
"""Keys that only set those of finetune, which may be set to something else: a short name is not theirs."""


class IterationFilter(NamedTuple):
    """Which iterations are shown; a filter that is empty lets all pass.

    Attributes:
        states: Of `STATES`.
        data: The beginning of a dataset's digest, or the name of a dataset.
        sweep: The name of a sweep.
        values: Keys of the configuration, whole or their last words, and their values as text.
    """

    states: tuple[str, ...] = ()
    data: str | None = None
    sweep: str | None = None
    values: tuple[tuple[str, str], ...] = ()


def parse_filter(
    words: Sequence[str], *, states: str | None, data: str | None, sweep: str | None
) -> IterationFilter:
    """Parse the words of the command.

    Args:
        words: KEY=VALUE.
        states: Names of states, separated by commas.
        data: See `IterationFilter`.
        sweep: See `IterationFilter`.

    Raises:
        UserError: A word is no KEY=VALUE, or a state does not exist.
    """
    chosen = tuple(state.strip().lower() for state in (states or "").split(",") if state.strip())
    for state in chosen:
        if state not in STATES:
            raise UserError(f"--state={state} is not allowed: choose from {', '.join(STATES)}")
    pairs = [word.partition("=") for word in words]
    for key, sign, _ in pairs:
        if not key or not sign:
            raise UserError(f"{key} is no KEY=VALUE, such as lr0=0.001: write one, or leave it out")
    return IterationFilter(chosen, data, sweep, tuple((key, value) for key, _, value in pairs))


def select_iterations(iterations: Iterable[Iteration], wanted: IterationFilter) -> list[Iteration]:
    """Return the iterations that a filter lets pass.

    Raises:
        UserError: No iteration has a key of the filter, or several keys have its name.
    """
    known = list(iterations)
    for key, _ in wanted.values:
        names = {name for iteration in known for name in _find_names(iteration.params, key)}
        if known and not names:
            raise UserError(f"no iteration has a key {key}: `finetrack runs --json` shows their keys")
        if len(names) > 1 and key not in names:
            listed = ", ".join(sorted(names))
            raise UserError(f"several keys are called {key}: {listed}: write the whole name of one")
    return [iteration for iteration in known if _passes(iteration, wanted)]


def sort_iterations(iterations: Sequence[Iteration], by: str) -> list[Iteration]:
    """Sort iterations by one of `SORT_KEYS`; those without a value come last, equal ones keep their order.

    Raises:
        UserError: There is no such key.
    """
    readers: dict[str, Callable[[Iteration], Any]] = {
        "started": lambda item: item.facts.get("started"),
        "val": lambda item: get_main_value(item, "best/"),
        "test": lambda item: get_main_value(item, "test/"),
        "seconds": lambda item: item.facts.get("seconds"),
        "name": lambda item: item.label,
    }
    if by not in readers:
        raise UserError(f"--sort={by} is not allowed: choose from {', '.join(SORT_KEYS)}")
    read = readers[by]
    known = [item for item in iterations if read(item) is not None]
    rest = [item for item in iterations if read(item) is None]
    return [*sorted(known, key=read, reverse=by in {"started", "val", "test"}), *rest]


def find_main_metric(iteration: Iteration, prefix: str) -> str | None:
    """Return the full name of the metric that the iteration's task is judged by.

    Args:
        iteration: One with metrics of val or test.
        prefix: `best/` for val, `test/` for test.
    """
    names = (f"{prefix}{name}" for name in MAIN_METRICS)
    return next((name for name in names if name in iteration.metrics), None)


def get_main_value(iteration: Iteration, prefix: str) -> float | None:
    """Return the value of the main metric on val (`best/`) or test (`test/`); None if it has none."""
    name = find_main_metric(iteration, prefix)
    return iteration.metrics[name] if name else None


def _passes(iteration: Iteration, wanted: IterationFilter) -> bool:
    if wanted.states and get_state(iteration) not in wanted.states:
        return False
    if wanted.data and not (
        (iteration.data or "").startswith(wanted.data) or iteration.facts.get("dataset") == wanted.data
    ):
        return False
    if wanted.sweep and iteration.facts.get("sweep") != wanted.sweep:
        return False
    return all(_has_value(iteration, key, value) for key, value in wanted.values)


def _has_value(iteration: Iteration, key: str, text: str) -> bool:
    wanted = parse_param(text)
    return any(value == wanted or format_yaml_value(value) == text for value in _find_values(iteration, key))


def _find_values(iteration: Iteration, key: str) -> list[Any]:
    """Return the value of the key that is `key`, or of those that end with it."""
    params = iteration.params
    return [params[name] for name in _find_names(params, key)]


def _find_names(params: Iterable[str], key: str) -> list[str]:
    """Return the key that is `key`, or those that end with it, without what only sets another key."""
    names = [*params]
    if key in names:
        return [key]
    return [name for name in names if name.endswith(f".{key}") and name not in INDIRECT_KEYS]
