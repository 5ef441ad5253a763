"""Decide whether a model may replace the champion: the rules of the gate, one check each. No I/O.

The main metric has to be shown to be no worse: the lower bound of its paired 95% interval must be above
-epsilon, so that a small test set lets no model pass by chance. A class or a slice is judged the other way
round, since there are many of them and each has few objects: it stops a model if it falls by more than its
limit, and the fall is shown, at a level of 5% for all classes (or slices) together. Two equal models are then
stopped by their classes in at most 5 of 100 cases, however many classes there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline.comparison.comparison_result import ModelComparison, PairedDifference
from pipeline.core.config_diff import join_first
from pipeline.core.text import format_count
from pipeline.dataset.manifest import BaseSeen, parse_base_seen
from pipeline.runtime.code_state import COMMIT_TAG, DIRTY_TAG, parse_untracked
from pipeline.tracking.store.run_tags import BASE_SEEN_TAG

FALSE_ALARMS: Final = 0.05
"""Share of equal models that all classes together, or all slices together, may stop."""
MAX_NAMED: Final = 3
"""Classes or slices that a check names."""
_SINGULARS: Final = {"classes": "class", "slices": "slice"}


class GateRules(NamedTuple):
    """The limits of the gate, as in conf/registry.

    Attributes:
        epsilon: How far the main metric may be below the champion's.
        class_limit: How far the main metric of a class may fall.
        slice_limit: How far the main metric of a slice may fall.
        min_objects: Classes and slices with fewer objects are not judged.
    """

    epsilon: float
    class_limit: float
    slice_limit: float
    min_objects: int


class GateCheck(NamedTuple):
    """One check of the gate.

    Attributes:
        name: main, classes, slices, data, code or export.
        passed: Whether it passed.
        sentence: What was found, for people, with the numbers.
    """

    name: str
    passed: bool
    sentence: str


class GateDecision(NamedTuple):
    """What the gate decided.

    Attributes:
        checks: All checks.
        comparison: With the champion; None if there is none yet.
        forced: Why it was promoted all the same; empty if nobody forced it.
    """

    checks: tuple[GateCheck, ...]
    comparison: ModelComparison | None = None
    forced: str = ""

    @property
    def failed(self) -> tuple[GateCheck, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def outcome(self) -> str:
        """`promoted`, `forced` or `refused`."""
        if not self.failed:
            return "promoted"
        return "forced" if self.forced else "refused"


def judge_comparison(
    comparison: ModelComparison, rules: GateRules, classes: Sequence[str] = ()
) -> tuple[GateCheck, ...]:
    """Judge a model beside the champion.

    Args:
        comparison: The champion first.
        rules: See `GateRules`.
        classes: The names of all classes: a comparison has only those with test objects.
    """
    few = rules.min_objects
    return (
        _judge_main(comparison.main, rules.epsilon),
        _judge_parts("classes", comparison.classes, limit=rules.class_limit, min_objects=few, names=classes),
        _judge_parts("slices", comparison.slices, limit=rules.slice_limit, min_objects=few),
    )


def judge_origin(
    tags: Mapping[str, str], params: Mapping[str, Any], seen: int | None = 0, *, is_own_data: bool = True
) -> tuple[GateCheck, ...]:
    """Judge what a model was made from: a leak in its images, and its code.

    Args:
        tags: Of its run.
        params: Its flat configuration.
        seen: Number of test images that it, or its base weights, was trained on; None if nobody knows. Where
            they are those of its own dataset, the tags say it.
        is_own_data: Whether the test images are those of the dataset that it was trained on.
    """
    return _judge_data(tags, params, seen, is_own_data=is_own_data), _judge_code(tags)


def _judge_data(
    tags: Mapping[str, str], params: Mapping[str, Any], seen: int | None, *, is_own_data: bool
) -> GateCheck:
    leak, base = tags.get("finetrack.data.leak"), parse_base_seen(tags.get(BASE_SEEN_TAG))
    if base and is_own_data:  # its own splits share no image
        seen = base.number
    failed = ""
    if leak:
        failed = f"{leak} of val and test share a group with others (data.on_leak)"
    elif seen is None:
        failed = "whether it was trained on the test images is not known: DVC does not have its dataset"
    elif seen:
        which = "it, or the weights that it started from," if base else "it"
        failed = f"{which} was trained on {format_count(seen, 'test image')} of the comparison"
    if failed:
        return GateCheck("data", False, failed)
    if not is_own_data:
        found = (
            "it was trained on no test image; near copies were not looked for, as the test images "
            "are of another dataset"
        )
    elif params.get("data.near_duplicates") is False:
        found = "no image is in two splits; near copies were not looked for (data.near_duplicates)"
    else:
        found = "no test image has a near copy in another split"
    return GateCheck("data", True, f"{found}{_describe_base(base)}")


def _describe_base(base: BaseSeen | None) -> str:
    """Return what else is to be said where the base weights had learnt from other images before."""
    if base is None:
        return ""
    if base.is_complete:
        return "; the weights that it started from saw no test image, and near copies were not looked for"
    return "; whether the weights that it started from were trained on test images is not known"


def _judge_code(tags: Mapping[str, str]) -> GateCheck:
    commit = tags.get(COMMIT_TAG)
    if not commit:
        return GateCheck("code", False, "no commit of its code is known")
    if tags.get(DIRTY_TAG) != "false":
        untracked = parse_untracked(tags)
        which = f": git does not track {join_first(untracked, 'git status')}" if untracked else ""
        return GateCheck("code", False, f"its code differs from commit {commit[:10]}{which}")
    return GateCheck("code", True, f"its code is that of commit {commit[:10]}")


def is_shown_fall(part: PairedDifference) -> bool:
    """Tell whether a fall is shown, at a level of `FALSE_ALARMS` for all that are tested together.

    The p-value is two-sided and adjusted by Holm; of equal models, half of what it shows by chance are falls.
    """
    return part.difference < 0 and part.p_value < 2 * FALSE_ALARMS


def _judge_main(main: PairedDifference, epsilon: float) -> GateCheck:
    passed = math.isfinite(main.second) and main.low > -epsilon
    sign = ">" if passed else "<="
    return GateCheck(
        "main",
        passed,
        f"{main.name} {main.second:.3f} against {main.first:.3f}: {main.difference:+.3f} "
        f"({main.low:+.3f} to {main.high:+.3f}); the lower bound is {sign} {-epsilon:g}",
    )


def _judge_parts(
    name: str,
    parts: Sequence[PairedDifference],
    *,
    limit: float,
    min_objects: int,
    names: Iterable[str] = (),
) -> GateCheck:
    """Judge classes or slices.

    Args:
        name: What they are, a key of `_SINGULARS`.
        parts: Those with objects.
        limit: How far each may fall.
        min_objects: Those with fewer objects are not judged.
        names: Of all, as far as they are known; some may have no object.
    """
    one = _SINGULARS[name]
    judged = [part for part in parts if part.objects >= min_objects]
    counts = {**dict.fromkeys(names, 0), **{part.name: part.objects for part in parts}}
    few = {part: objects for part, objects in counts.items() if objects < min_objects}
    fallen = [part for part in judged if part.difference < -limit and is_shown_fall(part)]
    fallen.sort(key=lambda part: part.difference)
    if not judged:
        found = f"no {one} has {min_objects} objects on test: none is judged"
    elif not fallen:
        found = f"of {format_count(len(judged), one)} none falls by more than {limit:g}, as far as is shown"
    else:
        shown = [f"{part.name} {part.first:.3f} to {part.second:.3f}" for part in fallen]
        found = f"falls by more than {limit:g}: {_list_first(shown)}"
    if few and judged:
        counted = format_count(len(few), f"{one} has", f"{name} have")
        named = _list_first([f"{part}: {objects}" for part, objects in few.items()])
        found = f"{found}; {counted} fewer than {min_objects} objects on test: not judged ({named})"
    return GateCheck(name, not fallen, found)


def _list_first(items: Sequence[str]) -> str:
    more = f" and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else ""
    return f"{', '.join(items[:MAX_NAMED])}{more}"


def collect_numbers(decision: GateDecision) -> dict[str, Any]:
    """Return the numbers of a decision as they are recorded; one that is not finite is None."""
    passed = {check.name: check.passed for check in decision.checks}
    if decision.comparison is None:
        return {"checks": passed}
    main = decision.comparison.main
    values = {"champion": main.first, "challenger": main.second, "low": main.low, "high": main.high}
    rounded = {name: round(value, 5) if math.isfinite(value) else None for name, value in values.items()}
    return {"metric": main.name, **rounded, "images": main.images, "objects": main.objects, "checks": passed}
