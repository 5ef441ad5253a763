"""Write the messages about one run to MLflow, so that sending one twice changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.runtime.progress import print_notice
from pipeline.tracking.dataset_input import build_dataset_input
from pipeline.tracking.outbox import OutboxMessage, RunOutbox
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.evaluation_runs import drop_evaluate_params, open_evaluation_run
from pipeline.tracking.store.metric_points import LoggedPoints
from pipeline.tracking.store.model_upload import update_model_defaults, upload_model
from pipeline.tracking.store.registry.registered_model import RegistryUnavailableError
from pipeline.tracking.store.registry.registration import register_run
from pipeline.tracking.store.run_changes import (
    delete_end_tags,
    end_stage,
    find_active_run,
    log_missing_params,
    log_tags,
)
from pipeline.tracking.store.run_tags import (
    DEFAULTS_TAG,
    EVALUATION_TAG,
    KEY_TAG,
    OUTBOX_TAG,
    TRAINING_TAG,
    WEIGHTS_TAG,
)

OPENING_KINDS = frozenset({"open", "resume", "attach"})


class MlflowWriter:
    """Writes the messages of one outbox to MLflow; `apply` raises MLflow's own errors.

    Attributes:
        sent: How many metrics, files and further messages this writer has sent.
    """

    def __init__(self, store: MlflowClientCache, outbox: RunOutbox) -> None:
        self.store = store
        self.outbox = outbox
        self.sent: Counter[str] = Counter()
        self._points: LoggedPoints | None = None

    @property
    def run_id(self) -> str | None:
        """The id of the run that messages go to; None until MLflow created the run."""
        run_id: str | None = self.outbox.state["run_id"]
        return run_id

    def apply(self, messages: Sequence[OutboxMessage]) -> None:
        """Send messages of one kind: several of metrics in one call, any other one alone."""
        kind = messages[0]["kind"]
        if kind in OPENING_KINDS:
            self._open_run(messages[0])
        elif self.run_id is None:
            raise ValueError("a message without a run")
        elif kind == "metrics":
            self.sent["metrics"] += self._get_points().send(messages)
        else:
            getattr(self, f"_log_{kind}")(messages[0], self.run_id)

    def forget_points(self) -> None:
        """Forget what MLflow has: the last call may or may not have arrived, or it changed the model."""
        self._points = None

    def _get_points(self) -> LoggedPoints:
        if self._points is None:
            self._points = LoggedPoints(self.store, str(self.run_id))
        return self._points

    def _open_run(self, message: OutboxMessage) -> None:
        """Open, continue or add to a run; an evaluation may have a child run of its own."""
        tags = {**message["tags"], OUTBOX_TAG: self.outbox.id}
        evaluation = message.get("evaluation")
        training_id = self._find_run(message)
        self._report_other_run(message, training_id)
        if training_id is None:
            run_id = training_id = self._create_run(message, tags)
        elif evaluation:
            run_id = open_evaluation_run(self.store, training_id, message, tags)
        else:
            run_id = training_id
            if message["kind"] == "resume":
                delete_end_tags(self.store, run_id)
            log_tags(self.store, run_id, tags)
            self.store.client.update_run(run_id, status="RUNNING")
        self.forget_points()
        self.sent["runs"] += 1
        runs = self.outbox.state.get("runs", {}) | {str(message["time"]): run_id}
        self.outbox.state |= {"run_id": run_id, "training_id": training_id, "runs": runs}
        self.outbox.save_state()

    def _create_run(self, message: OutboxMessage, tags: Mapping[str, str]) -> str:
        """Create a run; that of an evaluation whose training MLflow does not have takes its place."""
        evaluation = message.get("evaluation")
        own = {**evaluation["tags"], EVALUATION_TAG: evaluation["key"]} if evaluation else {}
        name = " ".join(part for part in (message.get("label"), message["name"]) if part)
        run = self.store.client.create_run(
            self.store.experiment, start_time=message["time"], tags={**own, **tags}, run_name=name
        )
        run_id = str(run.info.run_id)
        if evaluation:
            log_missing_params(self.store, run_id, drop_evaluate_params(evaluation["params"]))
            if dataset := evaluation.get("dataset"):
                self.store.client.log_inputs(run_id, datasets=[build_dataset_input(dataset)])
        return run_id

    def _find_run(self, message: OutboxMessage) -> str | None:
        """Find the run of the training that this outbox opened before, or that it should continue.

        The key of a training says nothing about who trained: clones of one commit on a shared store have the
        same. So a training is found by its id, an evaluation's training by its run's id or its weights. The
        key of a sweep is random.
        """
        if training := message["tags"].get(TRAINING_TAG):
            found = self._find_training(training)
        elif message["kind"] == "attach":
            found = self._find_evaluated(message)
        else:
            goes_on = message["kind"] == "resume" and message["stage"] == "sweep"
            found = next(self._iterate_own(*[self._key_condition] * goes_on), None)
        return str(found.info.run_id) if found else None

    def _find_training(self, training: str) -> Any:
        """Find the run of a training by its id; one that an earlier version opened here has none."""
        for run in self.store.search_runs(f"tags.`{TRAINING_TAG}` = '{training}'"):
            return run
        return next((run for run in self._iterate_own() if TRAINING_TAG not in run.data.tags), None)

    def _find_evaluated(self, message: OutboxMessage) -> Any:
        """Find the run of the training whose weights are evaluated.

        The run that the message names comes first: the outbox may be that of an earlier training of the key.
        It counts if it does not name other weights; any other run has to name these.
        """
        weights = (message.get("evaluation") or {"tags": {}})["tags"].get(WEIGHTS_TAG)
        named = find_active_run(self.store, message.get("run_id"))
        if named and (weights is None or named.data.tags.get(WEIGHTS_TAG, weights) == weights):
            return named
        same = f"{self._key_condition} AND tags.`{WEIGHTS_TAG}` = '{weights}'"
        others = self._iterate_own(same) if weights else self._iterate_own()
        return next((run for run in others if weights in {None, run.data.tags.get(WEIGHTS_TAG)}), None)

    @property
    def _key_condition(self) -> str:
        return f"tags.`{KEY_TAG}` = '{self.outbox.head['key']}'"

    def _iterate_own(self, *more: str) -> Iterator[Any]:
        """Yield the runs that this outbox opened, then those of further conditions of MLflow's filter."""
        state = self.outbox.state
        if run := find_active_run(self.store, state.get("training_id") or state["run_id"]):
            yield run
        for condition in (f"tags.`{OUTBOX_TAG}` = '{self.outbox.id}' AND {self._key_condition}", *more):
            yield from self.store.search_runs(condition)

    def _report_other_run(self, message: OutboxMessage, training_id: str | None) -> None:
        """Say it where the run that should be there is not, and what takes its place."""
        place, wanted = f"MLflow at {self.store.target.uri}", message.get("run_id")
        if message["kind"] == "resume" and message["stage"] == "finetune" and training_id is None:
            print_notice(
                f"tracking: {place} has no run of this training in {self.store.target.experiment}: it goes "
                "on in a new run, which lacks what was logged before the stop"
            )
        elif wanted and wanted != training_id:
            other = (
                f"is added to the run {training_id} of the same weights" if training_id else "gets a new run"
            )
            print_notice(f"tracking: {place} has no run {wanted} of these weights: the evaluation {other}")

    def _log_params(self, message: OutboxMessage, run_id: str) -> None:
        """Log parameters. MLflow never changes a parameter: a new value for a known one becomes a tag."""
        known = log_missing_params(self.store, run_id, message["values"])
        later = self.store.client.get_run(run_id).data.tags.keys() & known.keys()  # changed before
        changed = {n: v for n, v in message["values"].items() if known.get(n, v) != v or n in later}
        log_tags(self.store, run_id, changed)

    def _log_tags(self, message: OutboxMessage, run_id: str) -> None:
        log_tags(self.store, run_id, message["values"])

    def _log_artifact(self, message: OutboxMessage, run_id: str) -> None:
        path = self.outbox.folder / message["file"]
        if path.is_dir():
            folder = "/".join(part for part in (message["folder"], path.name) if part)
            self.store.client.log_artifacts(run_id, str(path), folder)
        else:
            self.store.client.log_artifact(run_id, str(path), message["folder"] or None)
        self.sent["files"] += _count_files(path)

    def _log_dataset(self, message: OutboxMessage, run_id: str) -> None:
        self.store.client.log_inputs(run_id, datasets=[build_dataset_input(message["facts"])])
        self.forget_points()

    def _log_model(self, message: OutboxMessage, run_id: str) -> None:
        folder = self.outbox.folder / message["file"]
        upload_model(self.store, run_id, message, folder)
        self.forget_points()  # results from now on belong to the model, too
        self.sent["files"] += _count_files(folder)

    def _log_defaults(self, message: OutboxMessage, run_id: str) -> None:
        """Set the defaults of a prediction; the model has those of the evaluation in its own run."""
        log_tags(self.store, run_id, {DEFAULTS_TAG: json.dumps(message["defaults"], allow_nan=False)})
        update_model_defaults(self.store, run_id, message["defaults"])

    def _log_end(self, message: OutboxMessage, run_id: str) -> None:
        """End a stage, and register the run's model if the stage asked for it."""
        end_stage(self.store, run_id, message)
        if name := message.get("register"):
            try:
                found = register_run(self.store, run_id, name)
            except RegistryUnavailableError:  # the message waits, and ends the stage once more
                raise
            except UserError as error:
                print_notice(f"tracking: the model is not registered as {name}: {error}")
            else:
                print_notice(f"tracking: the model is {name}/{found.version}, with the alias {found.alias}")
                if found.note:
                    print_notice(f"tracking: {found.note}")


def _count_files(path: Path) -> int:
    return sum(file.is_file() for file in path.rglob("*")) if path.is_dir() else 1
