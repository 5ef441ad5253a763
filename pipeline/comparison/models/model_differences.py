"""List what differs between models beside their scores: configuration, data, code, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pipeline.comparison.models.candidates import Candidate
from pipeline.core.config_diff import ABSENT, format_yaml_value
from pipeline.core.text import format_count
from pipeline.iterations.differences import diff_iteration_configs
from pipeline.iterations.iteration import Iteration

UNKNOWN: Final = "unknown"
DIGITS: Final = 10
"""Of hashes that are shown."""


class ModelDifference(NamedTuple):
    """One thing in which models differ.

    Attributes:
        name: A key of the configuration, or data, code, weights, trainings.
        values: Of each model.
    """

    name: str
    values: tuple[str, ...]


def list_model_differences(candidates: Sequence[Candidate]) -> list[ModelDifference]:
    """List in what the models differ, each with the value of every model.

    Args:
        candidates: The models; of several trainings of one model the first one speaks for all.
    """
    firsts = [candidate.iterations[0] for candidate in candidates]
    rows = [
        *_list_config_differences(firsts, are_pooled=any(len(each.iterations) > 1 for each in candidates))
    ]
    facts: dict[str, Callable[[Iteration], str]] = {
        "data": lambda each: _shorten(each.data),
        "code": _describe_code,
    }
    rows += [ModelDifference(name, tuple(map(describe, firsts))) for name, describe in facts.items()]
    rows.append(ModelDifference("weights", tuple(_describe_weights(each) for each in candidates)))
    return [row for row in rows if len(set(row.values)) > 1]


def _list_config_differences(firsts: Sequence[Iteration], *, are_pooled: bool) -> list[ModelDifference]:
    """List keys that differ between the first model and another; a file of weights has no configuration."""
    keys = dict.fromkeys(
        pair.key for other in firsts[1:] for pair in diff_iteration_configs(firsts[0], other)
    )
    if are_pooled:
        keys.pop("seed", None)
    return [ModelDifference(key, tuple(_get_value(each, key) for each in firsts)) for key in keys]


def _get_value(iteration: Iteration, key: str) -> str:
    if not iteration.params:
        return UNKNOWN
    value = iteration.params.get(key, ABSENT)
    return "(none)" if value is ABSENT else format_yaml_value(value)


def _describe_code(iteration: Iteration) -> str:
    commit = iteration.facts.get("commit")
    if not commit:
        return UNKNOWN
    return f"{str(commit)[:DIGITS]}{' with edits' if iteration.facts.get('dirty') else ''}"


def _describe_weights(candidate: Candidate) -> str:
    if len(candidate.iterations) > 1:
        return format_count(len(candidate.iterations), "training")
    return _shorten(candidate.iterations[0].sha256)


def _shorten(digest: str | None) -> str:
    return digest[:DIGITS] if digest else UNKNOWN
