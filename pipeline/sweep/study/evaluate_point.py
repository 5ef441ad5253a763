"""Judge points: prune trainings that are behind, and give a point its value when its jobs are done."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import optuna
import sqlalchemy.exc
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from pipeline.core.errors import UserError
from pipeline.sweep.job import JobResult
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.study.database import records
from pipeline.sweep.study.database.store import StudyStore
from pipeline.sweep.study.objectives import compute_means, compute_violation, parse_constraint
from pipeline.sweep.study.open_point import OpenPoint
from pipeline.sweep.study.sampling.pruners import build_pruner, has_enough_points


class PointJudge:
    """Prune trainings and value points, by the settings of a sweep.

    Args:
        store: The trials in the database.
        settings: Pruner, objectives and constraints are used.
    """

    def __init__(self, store: StudyStore, settings: SweepSettings) -> None:
        self._store = store
        self._settings = settings
        self._objectives = settings.objectives or ("",)
        self._constraints = [parse_constraint(text) for text in settings.constraints]
        self._pruner = build_pruner(settings)

    def load_study(self, sampler: BaseSampler | None = None) -> optuna.Study:
        """Return Optuna's view of the study as it is now."""
        return self._store.load_study(sampler or RandomSampler(seed=0), self._pruner)

    def report_epoch(
        self, point: OpenPoint, repetition: int, *, epoch: int, value: float, epochs: int | None
    ) -> bool:
        """Record the val metric of an epoch. Return whether the training ends here.

        A training that goes on after a crash reports epochs again; the answers are the same. Where the
        database does not answer the training goes on.
        """
        curve = point.curves.setdefault(repetition, {})
        judged = self._settings.pruner in {"median", "asha"} and repetition == 0
        if judged and point.pruned_at is not None:
            return epoch >= point.pruned_at
        try:
            if epoch not in curve:
                self._record_epoch(point, repetition, epoch=epoch, value=value, epochs=epochs)
            if not judged or epoch < max(curve):
                return False
            return self._decide(point, epoch, curve[epoch]) and epoch != epochs
        except (optuna.exceptions.OptunaError, sqlalchemy.exc.SQLAlchemyError):
            return False

    def is_behind(self, point: OpenPoint, result: JobResult) -> bool:
        """Return whether the finished repetitions of a point show that it is worse than the best one."""
        if self._settings.pruner != "wilcoxon":
            return False
        try:
            [value] = compute_means([result], self._objectives)
        except UserError:
            return False
        if result.job.repetition not in self._store.get_trial(point.trial_id).intermediate_values:
            self._store.report(point.trial_id, result.job.repetition, value)
        return self._should_prune(point.trial_id)

    def settle(self, point: OpenPoint) -> None:
        """Give a point its value, or mark it as pruned: all of its jobs that were to run are done."""
        if self._is_pruned(point):
            self._tell(point, TrialState.PRUNED)
            return
        results = [point.results[repetition] for repetition in sorted(point.results)]
        try:
            values = compute_means(results, self._objectives)
            limits = compute_means(results, [each.metric for each in self._constraints])
        except UserError as error:
            self._store.write(point.trial_id, records.UNRATED, str(error))
            self._tell(point, TrialState.FAIL)
            return
        pairs = zip(self._constraints, limits, strict=True)
        self._constrain(point.trial_id, {each.text: compute_violation(each, limit) for each, limit in pairs})
        self._tell(point, TrialState.COMPLETE, values)

    def reject(self, point: OpenPoint, reason: str) -> None:
        """Mark a point as one that cannot be trained."""
        self._store.write(point.trial_id, records.INFEASIBLE, reason)
        self._tell(point, TrialState.FAIL)

    def drop(self, number: int, trial_id: int) -> None:
        """End a trial that is no point: it gets no values."""
        self.load_study().tell(number, state=TrialState.FAIL, skip_if_finished=True)
        self._store.forget(trial_id)

    def take_known_result(self, point: OpenPoint, key: str) -> bool:
        """Give a point the result of an earlier one with the same key. Return whether there is one."""
        twin = self._find_twin(point, key)
        if twin is None:
            return False
        self._store.write(point.trial_id, records.DUPLICATE, twin.number)
        if twin.state != TrialState.COMPLETE:
            self._tell(point, TrialState.FAIL)
            return True
        if self._settings.pruner == "wilcoxon":  # it compares with the repetitions of the best point
            known = self._store.get_trial(point.trial_id).intermediate_values
            for step in set(twin.intermediate_values) - set(known):
                self._store.report(point.trial_id, step, twin.intermediate_values[step])
        self._constrain(point.trial_id, twin.constraints)
        self._tell(point, TrialState.COMPLETE, twin.values)
        return True

    def _record_epoch(
        self, point: OpenPoint, repetition: int, *, epoch: int, value: float, epochs: int | None
    ) -> None:
        curve = point.curves[repetition]
        curve[epoch] = value
        shown = {str(each): curve[each] for each in sorted(curve)}
        self._store.write(point.trial_id, records.name_curve(repetition), shown)
        if epochs is not None and len(curve) == 1:
            self._store.write(point.trial_id, records.EPOCHS, epochs)

    def _decide(self, point: OpenPoint, epoch: int, value: float) -> bool:
        if epoch not in self._store.get_trial(point.trial_id).intermediate_values:
            self._store.report(point.trial_id, epoch, value)
        if not self._should_prune(point.trial_id):
            return False
        self._store.write(point.trial_id, records.PRUNED, epoch)
        point.pruned_at = epoch
        return True

    def _should_prune(self, trial_id: int) -> bool:
        study = self.load_study()
        if not has_enough_points(study, self._settings.pruner_startup):
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Wilcoxon's: points that cannot be compared are not pruned
            return self._pruner.prune(study, self._store.get_trial(trial_id))

    def _find_twin(self, point: OpenPoint, key: str) -> FrozenTrial | None:
        twins = (
            trial
            for trial in self._store.list_trials()
            if trial.number < point.number
            and trial.user_attrs.get(records.KEY) == key
            and records.DUPLICATE not in trial.user_attrs
        )
        return next(twins, None)

    def _constrain(self, trial_id: int, violations: Mapping[str, float]) -> None:
        study = self.load_study()
        trial = optuna.Trial(study, trial_id)
        known = trial.constraints
        for name in violations.keys() - known.keys():
            trial.set_constraint(name, violations[name])

    def _tell(self, point: OpenPoint, state: TrialState, values: Sequence[float] | None = None) -> None:
        self.load_study().tell(point.number, values, state=state, skip_if_finished=True)
        self._store.forget(point.trial_id)

    def _is_pruned(self, point: OpenPoint) -> bool:
        left = len(point.results) < self._settings.seeds * (self._settings.folds or 1)
        return left or any(result.status == "pruned" for result in point.results.values())
