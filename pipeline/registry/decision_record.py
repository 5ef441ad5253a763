"""Write a decision of the gate where people look for it: both versions, and both runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from pipeline.registry.gate import GateDecision, collect_numbers
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.version_record import VersionNote, write_version_note

GATE_TAG: Final = "finetrack.gate"
"""Begins the tags of a version's own decision: the outcome, and with `.numbers` and so on the rest."""
LAST_TAG: Final = "finetrack.gate.last"
"""Begins the tags of the last decision on a version that wanted its place: kept or replaced, and the rest."""


class Contest(NamedTuple):
    """Two versions of a registered model, of which one wants to take the other's place.

    Attributes:
        name: Of the registered model.
        challenger: The number of the version that wants to be the champion.
        champion: The number of the champion; None if there is none.
    """

    name: str
    challenger: str
    champion: str | None


def describe_decision(contest: Contest, decision: GateDecision) -> str:
    """Describe a decision in one sentence."""
    over = f"over {contest.name}/{contest.champion}" if contest.champion else "as the first champion"
    if decision.outcome == "refused":
        reasons = "; ".join(check.sentence for check in decision.failed)
        return f"{contest.name}/{contest.challenger} was not promoted {over}: {reasons}"
    why = f", forced: {decision.forced}" if decision.outcome == "forced" else ""
    failed = "; ".join(check.sentence for check in decision.failed)
    found = f"{failed}" if failed else (decision.checks[0].sentence if decision.comparison else "")
    return f"{contest.name}/{contest.challenger} was promoted {over}{why}{f' ({found})' if found else ''}"


def record_decision(store: MlflowClientCache, contest: Contest, decision: GateDecision) -> None:
    """Write outcome, numbers and reasons into both versions and their runs: tags and descriptions.

    The champion keeps the tags of the decision that made it the champion.
    """
    facts = _collect_facts(contest, decision)
    line = f"{facts['time']}: {describe_decision(contest, decision)}"
    against = contest.champion or "none"
    own = {GATE_TAG: decision.outcome, f"{GATE_TAG}.against": against, **name_tags(GATE_TAG, facts)}
    write_version_note(store, contest.name, contest.challenger, VersionNote(own, line))
    if contest.champion:
        kept = "kept" if decision.outcome == "refused" else "replaced"
        other = {LAST_TAG: kept, f"{GATE_TAG}.challenger": contest.challenger, **name_tags(LAST_TAG, facts)}
        write_version_note(store, contest.name, contest.champion, VersionNote(other, line))


def name_tags(prefix: str, facts: Mapping[str, str]) -> dict[str, str]:
    """Return tags with the facts of a decision.

    Args:
        prefix: `GATE_TAG` for the version that it is about, `LAST_TAG` for the champion that it met.
        facts: By what follows the prefix.
    """
    return {f"{prefix}.{name}": value for name, value in facts.items()}


def _collect_facts(contest: Contest, decision: GateDecision) -> dict[str, str]:
    """Return what both sides of a decision say about it: numbers, reasons, time."""
    numbers = {"version": contest.challenger, "against": contest.champion, **collect_numbers(decision)}
    reasons = [
        f"{'pass' if check.passed else 'FAIL'} {check.name}: {check.sentence}" for check in decision.checks
    ]
    return {
        "numbers": json.dumps(numbers, allow_nan=False),
        "reasons": "\n".join(reasons),
        "forced": decision.forced or "no",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
