"""Which version is the champion, which ones were before, and how one takes its place.

MLflow sets an alias without a condition: of two processes that set it at once the later one wins, and neither
notices. A parameter of a run, however, is written once: a second value is refused, in every database that
MLflow uses. So each change of the champion is a numbered parameter of one run. The process that writes a
number has made that change. The alias follows.
"""

from __future__ import annotations

import getpass
import json
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

from pipeline.core.errors import UserError
from pipeline.runtime.progress import print_notice
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.outage import is_denied
from pipeline.tracking.store.registry.registered_model import (
    CHALLENGER,
    CHAMPION,
    HISTORY_RUN_TAG,
    create_history_run,
    find_aliased_version,
    find_registered_model,
    has_version,
)

APPLIED_TAG: Final = "finetrack.champion.applied"
"""Tag of the registered model: the number of the last change that the alias followed."""
HISTORY_TAG: Final = "finetrack.champion.history"
"""Tag of the registered model: its champions in order, for people."""
MAX_REASON_LENGTH: Final = 1000
"""Characters of a reason in a change."""
MAX_CHANGE_LENGTH: Final = 5500
"""Characters of a change as JSON: MLflow cuts a parameter at 6,000, without a word."""
_CHANGE: Final = re.compile(r"champion\.(\d{5})")
_CUT_CHANGE: Final = re.compile(
    r'\{"kind": "(promote|rollback)", "version": "([^"\\]+)", "replaced": (?:null|"([^"\\]+)"), "reason": "'
)
"""The beginning of a change whose reason was cut."""


class ChampionChangedError(UserError):
    """Another process changed the champion meanwhile."""


class ChampionChange(NamedTuple):
    """One change of the champion.

    Attributes:
        kind: `promote`, or `rollback` to one that was champion before.
        version: The new champion.
        replaced: The champion before; None if there was none.
        reason: Why, for people.
        number: From 1; 0 until it is written.
        time: Seconds since 1970.
        user: Who did it; None if unknown.
        claim: Tells this change from another process's with the same number.
    """

    kind: Literal["promote", "rollback"]
    version: str
    replaced: str | None
    reason: str = ""
    number: int = 0
    time: float = 0.0
    user: str | None = None
    claim: str = ""


class ChampionHistory(NamedTuple):
    """The changes of the champion of a registered model.

    Attributes:
        run_id: The run whose parameters they are.
        changes: In order.
    """

    run_id: str
    changes: tuple[ChampionChange, ...]

    def list_champions(self) -> tuple[str, ...]:
        """Return the champions in order, without those that a rollback took back; the last one is in use."""
        stack: list[str] = []
        for change in self.changes:
            if change.kind == "rollback":
                while stack and stack[-1] != change.version:
                    stack.pop()
            if change.kind == "promote" and change.replaced and stack[-1:] != [change.replaced]:
                stack.append(change.replaced)  # somebody had moved the alias by hand
            if stack[-1:] != [change.version]:
                stack.append(change.version)
        return tuple(stack)


def read_champion_history(store: MlflowClientCache, name: str) -> ChampionHistory | None:
    """Read the changes of the champion; None if nothing was registered under this name.

    Raises:
        UserError: The run that holds them was deleted, or is gone for good.
    """
    model = find_registered_model(store, name)
    if model is None:
        return None
    run_id = model.tags.get(HISTORY_RUN_TAG) or _adopt_model(store, name)
    run = store.get_run(run_id)
    if run is None:  # no new one in its place: it may be there, and this user may not read it
        raise UserError(
            f"MLflow does not have the run {run_id} any more, which holds the champions of {name}, or does "
            f"not show it to you. If it is gone, delete the tag {HISTORY_RUN_TAG} of the registered model "
            f"{name}: the champion stays, and a new list of champions begins"
        )
    if run.info.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow run {run_id} was deleted, which holds the champions of {name}: restore it in MLflow "
            f"(`mlflow runs restore --run-id {run_id}`)"
        )
    return ChampionHistory(run_id, _parse_changes(run.data.params, run_id))


def change_champion(
    store: MlflowClientCache, name: str, change: ChampionChange, *, expected: str | None
) -> ChampionChange:
    """Make a version the champion, unless another process changed the champion meanwhile.

    Args:
        store: Of the registry.
        name: Of the registered model.
        change: What changes; its number, time, user and claim are filled in.
        expected: The champion that the decision was made against; None if there was none.

    Returns:
        The change as it was written.

    Raises:
        ChampionChangedError: The champion is another one by now; nothing was changed.
    """
    history = complete_last_change(store, name)
    _require_champion(store, name, expected)
    written = _claim_change(store, name, history, change)
    _follow_change(store, name, written)
    complete_last_change(store, name)  # a later change that overtook this one has the last word
    return written


def complete_last_change(store: MlflowClientCache, name: str) -> ChampionHistory:
    """Let the alias follow the last change, if the process that made it ended before, and return all changes.

    Raises:
        UserError: Nothing was registered under this name.
    """
    history = read_champion_history(store, name)
    if history is None:
        raise UserError(f"nothing is registered as {name}: run `python -m pipeline register RUN` first")
    if history.changes and history.changes[-1].number > _read_applied(store, name):
        _follow_change(store, name, history.changes[-1])
    return history


def _require_champion(store: MlflowClientCache, name: str, expected: str | None) -> None:
    current = find_aliased_version(store, name, CHAMPION)
    if current != expected:
        now = f"{name}/{current} is the champion" if current else f"{name} has no champion"
        raise ChampionChangedError(
            f"{now} now, while this command compared with {f'version {expected}' if expected else 'none'}: "
            "run it again"
        )


def _claim_change(
    store: MlflowClientCache, name: str, history: ChampionHistory, change: ChampionChange
) -> ChampionChange:
    """Write a change under the next number; MLflow lets one process do so."""
    from mlflow.exceptions import MlflowException

    number = history.changes[-1].number + 1 if history.changes else 1
    full = change._replace(
        reason=change.reason[:MAX_REASON_LENGTH],
        number=number,
        time=round(time.time(), 3),
        user=_read_user(),
        claim=uuid.uuid4().hex,
    )
    full = _shorten_reason(full)
    key, value = f"champion.{number:05d}", _to_json(full)
    try:
        store.client.log_param(history.run_id, key, value)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
    written = _find_change(store, history.run_id, number)
    if written is None or written.claim != full.claim:
        raise ChampionChangedError(
            f"another command has just made {name}/{written.version if written else '?'} the champion: "
            "run this one again to compare with it"
        )
    return written


def _to_json(change: ChampionChange) -> str:
    """Convert to JSON in ASCII: not every database of MLflow holds all characters."""
    return json.dumps(change._asdict(), allow_nan=False)


def _shorten_reason(change: ChampionChange) -> ChampionChange:
    """Shorten the reason so that MLflow holds the change; a letter takes up to 12 characters of JSON."""
    while len(_to_json(change)) > MAX_CHANGE_LENGTH:
        change = change._replace(reason=change.reason[: len(change.reason) * 9 // 10])
    return change


def _find_change(store: MlflowClientCache, run_id: str, number: int) -> ChampionChange | None:
    changes = _parse_changes(store.client.get_run(run_id).data.params, run_id)
    return next((change for change in changes if change.number == number), None)


def _follow_change(store: MlflowClientCache, name: str, change: ChampionChange) -> None:
    """Set the aliases and tags as a change wants them; a version that was deleted since gets no alias."""
    client = store.client
    if has_version(store, name, change.version):
        client.set_registered_model_alias(name, CHAMPION, change.version)
    if find_aliased_version(store, name, CHALLENGER) == change.version:
        _delete_challenger_alias(store, name, change.version)
    history = read_champion_history(store, name)
    champions = history.list_champions() if history else ()
    client.set_registered_model_tag(name, HISTORY_TAG, json.dumps(champions, allow_nan=False))
    client.set_registered_model_tag(name, APPLIED_TAG, str(change.number))


def _delete_challenger_alias(store: MlflowClientCache, name: str, version: str) -> None:
    """Delete the alias of a challenger that became the champion; a user who may not do that is told so."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.delete_registered_model_alias(name, CHALLENGER)
    except MlflowException as error:
        if not is_denied(error):
            raise
        print_notice(
            f"registry: {name}/{version} keeps the alias {CHALLENGER} beside {CHAMPION}: you may not delete "
            "an alias (ask the server's administrator for MANAGE on the registered model)"
        )


def _adopt_model(store: MlflowClientCache, name: str) -> str:
    """Give a registered model a run for its champions: it was made elsewhere, or its run is gone."""
    run_id = create_history_run(store, name)
    store.client.set_registered_model_tag(name, APPLIED_TAG, "0")  # the numbers of the run begin again
    store.client.set_registered_model_tag(name, HISTORY_RUN_TAG, run_id)
    return str(store.client.get_registered_model(name).tags[HISTORY_RUN_TAG])


def _read_applied(store: MlflowClientCache, name: str) -> int:
    text = store.client.get_registered_model(name).tags.get(APPLIED_TAG, "0")
    return int(text) if text.isdecimal() else 0


def _parse_changes(params: Mapping[str, str], run_id: str) -> tuple[ChampionChange, ...]:
    """Read the changes in order.

    Raises:
        UserError: One is damaged.
    """
    return tuple(
        _parse_change(name, params[name], run_id) for name in sorted(params) if _CHANGE.fullmatch(name)
    )


def _parse_change(name: str, text: str, run_id: str) -> ChampionChange:
    """Read a change; one that MLflow cut in its reason has the rest of what decides: kind and versions."""
    try:
        values: dict[str, Any] = json.loads(text)
        return ChampionChange(**values)
    except (ValueError, TypeError):
        cut = _CUT_CHANGE.match(text)
    if cut is None:
        raise UserError(
            f"the parameter {name} of the MLflow run {run_id}, which holds the champions, is damaged: "
            "restore it from a backup of MLflow's database"
        )
    kind: Literal["promote", "rollback"] = "promote" if cut[1] == "promote" else "rollback"
    number = int(name.rpartition(".")[2])
    return ChampionChange(kind, cut[2], cut[3], "(longer than MLflow holds)", number)


def _read_user() -> str | None:
    with suppress(KeyError, OSError):  # the user of a container may have no name
        return getpass.getuser()
    return None
