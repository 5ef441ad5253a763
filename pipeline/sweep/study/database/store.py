"""The trials of one study in its database: create, claim, release and write them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Literal, TypeVar

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.core.errors import UserError
from pipeline.sweep.study.database import records
from pipeline.sweep.study.database.address import DatabaseAddress
from pipeline.sweep.study.database.connection import (
    close_storage,
    hold_database_lock,
    hold_study_lock,
    open_storage,
    reporting_database_errors,
    retry_while_unavailable,
)
from pipeline.sweep.study.database.ownership import (
    HeartbeatThread,
    describe_this_process,
    is_abandoned,
    list_stale_trials,
)
from pipeline.sweep.study.database.place import (
    DatabasePlace,
    PlaceChange,
    compare_places,
    locate_database,
)

_IDENTITY: Final = "identity"
_RUN_KEY: Final = "run_key"
_PLACE: Final = "place"
_TEST_RECORD: Final = "test_record"
Result = TypeVar("Result")
Direction = Literal["minimize", "maximize"]


class StudyStore:
    """One study in its database, as one process uses it.

    Args:
        address: The database.
        name: The name of the sweep.
        directions: `maximize` or `minimize`, one for each objective.

    Raises:
        UserError: The database cannot be used.
    """

    def __init__(self, address: DatabaseAddress, name: str, directions: Sequence[Direction]) -> None:
        self.address = address
        self.name = name
        self.own = describe_this_process()
        self._storage = open_storage(address)
        with reporting_database_errors(address), hold_database_lock(address):
            optuna.create_study(
                study_name=name, storage=self._storage, directions=directions, load_if_exists=True
            )
            self._study_id = self._storage.get_study_id_from_name(name)
        self._heartbeat = HeartbeatThread(self._storage)
        self._running: set[int] = set()
        self._heartbeat.start()

    def require_identity(self, identity: Mapping[str, str]) -> None:
        """Require that the study was made from the same inputs; a new study takes them.

        Raises:
            UserError: They differ; the message names which.
        """
        stored = self._storage.get_study_user_attrs(self._study_id).get(_IDENTITY)
        if stored is None or not self.list_trials():
            self._storage.set_study_user_attr(self._study_id, _IDENTITY, dict(identity))
            return
        names = sorted(name for name in {*stored, *identity} if stored.get(name) != identity.get(name))
        if names:
            raise UserError(
                f"the sweep {self.name} was started with other {' and '.join(names)}: "
                "set sweep.name to a new name, or undo the change"
            )

    @contextmanager
    def hold_run_key(self, earlier: str, tell: Callable[[str], None]) -> Iterator[str]:
        """Hold the text that identifies the study's run in MLflow; one process at a time holds it.

        It is random, so that two studies of one name, on machines with the same paths, have two runs. It is
        kept in the database, so that all processes of the study, and a project that was moved, have one. A
        copy of the file gets another one: its project and the original are two.

        Args:
            earlier: The text of a study that has trials and no text: an earlier version began it.
            tell: Called with a sentence where the file was copied, or may have been.

        Raises:
            UserError: The database cannot be used, or another process holds the text for long.
        """
        with ExitStack() as held:
            with reporting_database_errors(self.address):
                held.enter_context(hold_study_lock(self.address, self.name))
                key = self._find_run_key(earlier, tell)
            yield key

    def _find_run_key(self, earlier: str, tell: Callable[[str], None]) -> str:
        """Return the text that identifies the run; a new study, and a copy of one, draw it."""
        stored = self._storage.get_study_user_attrs(self._study_id)
        key = stored.get(_RUN_KEY)
        own = locate_database(self.address.file) if self.address.file else None
        place = DatabasePlace(*stored[_PLACE]) if _PLACE in stored else own
        change = compare_places(place, own) if place and own else PlaceChange.NONE
        if change is PlaceChange.COPIED and place:
            tell(
                f"{self.address.shown} is a copy of {place.host}:{place.path}: "
                "the sweep gets a run of its own in MLflow"
            )
        if change is PlaceChange.UNSURE and place:
            tell(
                f"{self.address.shown} was at {place.host}:{place.path}, and is taken to be moved: the sweep "
                "goes on in the same run in MLflow; if it was copied, set sweep.name to a new name"
            )
        if key is None or change is PlaceChange.COPIED:
            known = key is None and self.list_trials()
            key = earlier if known else secrets.token_hex(16)
            self._storage.set_study_user_attr(self._study_id, _RUN_KEY, key)
        if own and stored.get(_PLACE) != list(own):  # after the key: a kill between the two draws another one
            self._storage.set_study_user_attr(self._study_id, _PLACE, list(own))
        return str(key)

    def read_test_record(self) -> Mapping[str, Any] | None:
        """Return the scores on test that `write_test_record` wrote last; None without any."""
        found = self._storage.get_study_user_attrs(self._study_id).get(_TEST_RECORD)
        return None if found is None else dict(found)

    def write_test_record(self, record: Mapping[str, Any]) -> None:
        """Write the scores on test; the values have to be JSON."""
        self._storage.set_study_user_attr(self._study_id, _TEST_RECORD, dict(record))

    def retry(self, operation: Callable[[], Result]) -> Result:
        """Run an operation, again after a pause where the database does not answer.

        Raises:
            UserError: It does not answer for half a minute, or cannot be used.
        """
        return retry_while_unavailable(self.address, operation)

    def load_study(self, sampler: BaseSampler, pruner: BasePruner) -> optuna.Study:
        """Return Optuna's view of the study, with its present state."""
        return optuna.load_study(study_name=self.name, storage=self._storage, sampler=sampler, pruner=pruner)

    def list_trials(self) -> list[FrozenTrial]:
        """Return all trials as they are now, in the order of their numbers. They must not be changed."""
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return one trial as it is now."""
        return self._storage.get_trial(trial_id)

    def create_trial(self) -> int:
        """Create a trial that this process runs. Return its id."""
        owned = create_trial(state=TrialState.RUNNING, user_attrs={records.OWNER: list(self.own)})
        trial_id = self._storage.create_new_trial(self._study_id, owned)
        self._hold(trial_id)
        return trial_id

    def claim_trial(self) -> int | None:
        """Claim the first trial that nobody runs: of a process that ended, or that failed in an earlier one.

        Returns:
            Its id; None if there is none.
        """
        with hold_database_lock(self.address):
            self._free_abandoned_trials()
            for trial in self.list_trials():
                if self._is_claimable(trial) and self._claim(trial._trial_id):
                    return trial._trial_id
        return None

    def has_claimable_trials(self) -> bool:
        """Return whether a trial waits that this process may run."""
        return any(self._is_claimable(trial) for trial in self.list_trials())

    def count_elsewhere(self) -> int:
        """Count the trials that other processes run; those of processes that died are run by none."""
        return sum(not is_free for is_free in self._judge_running_trials().values())

    def write(self, trial_id: int, name: str, value: Any) -> None:
        """Write an attribute of a trial; the value has to be JSON."""
        self._storage.set_trial_user_attr(trial_id, name, value)

    def fix_values(self, trial_id: int, values: Mapping[str, str | int | float]) -> None:
        """Have a trial take these values instead of sampled ones, as `Study.enqueue_trial` does."""
        self._storage.set_trial_system_attr(trial_id, "fixed_params", dict(values))

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Write an intermediate value that pruners judge by."""
        self._storage.set_trial_intermediate_value(trial_id, step, value)

    def release(self, trial_id: int) -> None:
        """Give a trial of this process back: this or another process may claim it."""
        self.forget(trial_id)
        trial = self.get_trial(trial_id)
        if trial.state == TrialState.RUNNING and trial.user_attrs.get(records.OWNER) == list(self.own):
            self._free(trial_id)

    def forget(self, trial_id: int) -> None:
        """Note that this process runs a trial no more."""
        self._running.discard(trial_id)
        self._heartbeat.forget(trial_id)

    def close(self) -> None:
        """End the heartbeats and the connections."""
        self._heartbeat.stop()
        close_storage(self._storage)

    def _is_claimable(self, trial: FrozenTrial) -> bool:
        failed_here = trial.user_attrs.get(records.FAILED) == self.own.invocation
        return trial.state == TrialState.WAITING and not failed_here

    def _claim(self, trial_id: int) -> bool:
        if not self._storage.set_trial_state_values(trial_id, TrialState.RUNNING):
            return False  # another process was faster
        self._storage.set_trial_user_attr(trial_id, records.OWNER, list(self.own))
        self._hold(trial_id)
        return True

    def _free_abandoned_trials(self) -> None:
        for trial_id, is_free in self._judge_running_trials().items():
            if is_free:
                self._free(trial_id)

    def _judge_running_trials(self) -> dict[int, bool]:
        """Return the RUNNING trials that this process does not run, and whether no other one does."""
        stale = list_stale_trials(self._storage, self._study_id)
        return {
            trial._trial_id: is_abandoned(trial, self.own, stale=trial._trial_id in stale)
            for trial in self.list_trials()
            if trial.state == TrialState.RUNNING and trial._trial_id not in self._running
        }

    def _free(self, trial_id: int) -> None:
        self._storage.set_trial_user_attr(trial_id, records.OWNER, None)
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def _hold(self, trial_id: int) -> None:
        self._running.add(trial_id)
        self._heartbeat.watch(trial_id)
