"""Find the models that a comparison names; runs that differ in their seed alone are one model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.dataset.history import WORKSPACE
from pipeline.iterations.differences import diff_iteration_configs, has_other_code
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.tracking.target import TrackingTarget

MAX_LABEL_LENGTH: Final = 40
_FREE_KEYS: Final = frozenset(
    {"seed", *(f"evaluate.{name}" for name in ("bootstrap", "latency", "register", "suspects", "worst"))}
)
"""Keys in which the trainings of one model may differ: the seed, and what changes no prediction."""
_BASE_TAG: Final = "finetrack.base.sha256"
"""Tag of a training: the SHA-256 of its base weights, whose path alone is in the configuration."""


class Candidate(NamedTuple):
    """A model to compare.

    Attributes:
        label: Its name for people, which no other candidate has.
        iterations: Its trainings: one, or several that differ in their seed.
    """

    label: str
    iterations: tuple[Iteration, ...]


def find_candidates(
    references: Sequence[str], target: TrackingTarget, *, registry_name: str, pool: bool = True
) -> list[Candidate]:
    """Find the iterations, in the order of their names, and pool those that differ in their seed alone.

    Args:
        references: As the user typed them; two or more.
        target: MLflow's store and experiment.
        registry_name: The registered model whose aliases need no name before them.
        pool: Whether to pool; runs are not pooled either if nothing else would be left to compare.

    Raises:
        UserError: A name stands for nothing, or two for the same.
    """
    found = [resolve_reference(text, target, registry_name=registry_name) for text in references]
    return group_candidates(found, pool=pool)


def group_candidates(found: Sequence[Iteration], *, pool: bool = True) -> list[Candidate]:
    """Group iterations to models; see `find_candidates`.

    Raises:
        UserError: Two are the same.
    """
    _refuse_doubles(found)
    groups = _pool(found) if pool else []
    if len(groups) < 2:
        groups = [[iteration] for iteration in found]
    labels = _label_groups(groups)
    return [Candidate(label, tuple(group)) for label, group in zip(labels, groups, strict=True)]


def _refuse_doubles(found: Sequence[Iteration]) -> None:
    known: dict[str, Iteration] = {}
    for iteration in found:
        identity = str(iteration.file.resolve()) if iteration.file else iteration.run_id or iteration.revision
        if identity and identity in known:
            raise UserError(
                f"{known[identity].reference} and {iteration.reference} are the same model: name another one"
            )
        known[str(identity)] = iteration


def _pool(found: Sequence[Iteration]) -> list[list[Iteration]]:
    groups: list[list[Iteration]] = []
    for iteration in found:
        group = next((group for group in groups if all(_are_seeds(each, iteration) for each in group)), None)
        if group is None:
            groups.append([iteration])
        else:
            group.append(iteration)
    return groups


def _are_seeds(first: Iteration, second: Iteration) -> bool:
    if first.sha256 and first.sha256 == second.sha256:  # two evaluations of one training
        return False
    if not first.params or not second.params or not first.data or first.data != second.data:
        return False
    if WORKSPACE in {first.reference, second.reference}:  # of which nobody has recorded the code
        return False
    keys = {pair.key for pair in diff_iteration_configs(first, second)}
    return "seed" in keys and keys <= _FREE_KEYS and not _have_other_origin(first, second)


def _have_other_origin(first: Iteration, second: Iteration) -> bool:
    """Check whether code or base weights are known to differ, whatever the configurations say."""
    bases = [each.tags.get(_BASE_TAG) or each.facts.get("base") for each in (first, second)]
    return bool(has_other_code(first, second)) or (all(bases) and bases[0] != bases[1])


def _label_groups(groups: Sequence[Sequence[Iteration]]) -> list[str]:
    labels = [_label(group[0]) for group in groups]
    doubled = {label for label, count in Counter(labels).items() if count > 1}
    return [
        _count_seeds(f"{label} [{_identify(group[0])}]" if label in doubled else label, len(group))
        for label, group in zip(labels, groups, strict=True)
    ]


def _label(iteration: Iteration) -> str:
    label = iteration.reference if iteration.kind == "alias" else iteration.label
    return label if len(label) <= MAX_LABEL_LENGTH else f"{label[: MAX_LABEL_LENGTH - 1]}…"


def _identify(iteration: Iteration) -> str:
    """Return what tells an iteration from another of the same name."""
    if iteration.file is not None:
        return iteration.sha256[:8] if iteration.sha256 else str(iteration.file)
    return (iteration.run_id or iteration.revision or iteration.reference)[:8]


def _count_seeds(label: str, trainings: int) -> str:
    return label if trainings == 1 else f"{label} ({format_count(trainings, 'seed')})"
