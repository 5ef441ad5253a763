"""Say briefly what differs between two iterations: configuration, data, code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.core.config_diff import (
    ABSENT,
    KeyDifference,
    diff_configs,
    format_short_value,
    shorten_keys,
    unify_numbers,
)
from pipeline.iterations.iteration import Iteration
from pipeline.tracking.store.evaluation_runs import drop_evaluate_params
from pipeline.tracking.store.run_tags import EVALUATE_PREFIX

_IGNORED: Final = ("tracking.", "compute.", "registry.", "zero_shot.")
"""Begin keys that change no result."""


def diff_iteration_configs(old: Iteration, new: Iteration) -> list[KeyDifference]:
    """List the keys of the configuration that differ and may change a result.

    Values from MLflow are text, so that 1 and 1.0 are the same here. Keys that only one side has come last:
    they are those of another version of the pipeline. There are none where a configuration is unknown. Keys
    of `evaluate` count where both sides were evaluated.
    """
    if not old.params or not new.params:
        return []
    both = [_select_params(iteration.params) for iteration in (old, new)]
    if not all(any(key.startswith(EVALUATE_PREFIX) for key in params) for params in both):
        both = [drop_evaluate_params(params) for params in both]
    pairs = [pair for pair in diff_configs(*both) if not _is_filled(pair, both)]
    return sorted(pairs, key=lambda pair: pair.old is ABSENT or pair.new is ABSENT)


def label_differences(old: Iteration, new: Iteration) -> list[str]:
    """Return what differs in `new`, briefly: `lr0=0.004`, `other data`, `other code`.

    `other test data`: both were trained on the same dataset, and evaluated on another one.

    `other keys`: only one of them has some keys, as after a change of conf/.

    Args:
        old: What it is compared with.
        new: Its values are named.
    """
    found = diff_iteration_configs(old, new)
    pairs = [pair for pair in found if ABSENT not in (pair.old, pair.new)]
    names = shorten_keys([pair.key for pair in pairs])
    labels = [f"{name}={format_short_value(pair.new)}" for name, pair in zip(names, pairs, strict=True)]
    if len(pairs) < len(found):
        labels.append("other keys")
    if old.data and new.data and old.data != new.data:
        labels.append("other data")
    elif len({tested for each in (old, new) if (tested := each.facts.get("tested") or each.data)}) > 1:
        labels.append("other test data")
    if has_other_code(old, new):
        labels.append("other code")
    return labels


def has_other_code(old: Iteration, new: Iteration) -> bool | None:
    """Check whether pipeline/ differed in two runs.

    Returns:
        None where it is unknown: with uncommitted changes, without a commit, and with commits of which one is
        not in this clone.
    """
    if old.facts.get("dirty") or new.facts.get("dirty"):
        return None
    commits = old.facts.get("commit"), new.facts.get("commit")
    if all(commits) and commits[0] == commits[1]:
        return False
    codes = old.facts.get("code"), new.facts.get("code")
    return codes[0] != codes[1] if all(codes) else None


def _is_filled(pair: KeyDifference, both: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a mapping is empty on one side, and has keys on the other, which differ by themselves."""
    return {} in (pair.old, pair.new) and any(
        key.startswith(f"{pair.key}.") for params in both for key in params
    )


def _select_params(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: unify_numbers(value) for key, value in params.items() if not key.startswith(_IGNORED)}
