"""Log one stage of a run: each call writes a message to the outbox, which is sent in the background."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_full_disk, is_disk_full
from pipeline.core.tasks import Task
from pipeline.tracking.dataset_input import describe_dataset
from pipeline.tracking.logged_model import save_model
from pipeline.tracking.outbox import RunOutbox
from pipeline.tracking.sanitize import sanitize_metrics, sanitize_params, sanitize_tags
from pipeline.tracking.sender import OutboxSender, print_tracking_notice
from pipeline.tracking.system_metrics import SAMPLE_INTERVAL_SECONDS


class RunSession:
    """The logging API of a stage for one MLflow run. No call waits for MLflow, or fails because of it."""

    def __init__(
        self, outbox: RunOutbox, start_sender: Callable[[], OutboxSender], *, timeout: float
    ) -> None:
        self._outbox = outbox
        self._start_sender = start_sender
        self._timeout = timeout
        self.registered_name: str | None = None
        """The registered model that the run's model becomes a version of when the stage has finished."""

    @functools.cached_property
    def _sender(self) -> OutboxSender:
        return self._start_sender()

    def start_sending(self) -> None:
        """Start the sender, as the first message does otherwise.

        Raises:
            UserError: The store cannot be used.
        """
        self._sender.wake()

    def close(self, timeout: float) -> None:
        """Send the remaining messages for at most `timeout` seconds."""
        self._sender.close(timeout)

    @property
    def run_id(self) -> str | None:
        """The run's id; None while the store is away. Waits for a store that is only slow."""
        return self.wait_for_run(self._timeout)

    def wait_for_run(self, seconds: float) -> str | None:
        """Return the run's id; None while the store is away, or does not answer for so long."""
        return self._sender.wait_for_run_id(seconds)

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log parameters, nested ones as `group.key`."""
        self._append("params", values=sanitize_params(values))

    def log_metrics(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Log numbers: with a step (an epoch) as points of curves, without one as results.

        A step that a curve already has is not changed. Of several results MLflow shows the newest; results
        are also tied to the run's model. Values that are not numbers are left out.
        """
        self._append("metrics", values=sanitize_metrics(values), step=step)

    def log_system_metrics(self, values: Mapping[str, float]) -> None:
        """Log the load of the machine; the step counts intervals since the start of the run.

        On a full disk it is left out: nothing else depends on it.
        """
        every = int(SAMPLE_INTERVAL_SECONDS * 1000)
        with contextlib.suppress(UserError):
            self._append("metrics", values=sanitize_metrics(values), step=None, every=every)

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; values that are None are left out."""
        self._append("tags", values=sanitize_tags(values))

    def set_description(self, markdown: str) -> None:
        """Set the text (Markdown) that MLflow shows on the page of the run."""
        self.set_tags({"mlflow.note.content": markdown})

    def log_artifact(self, path: Path, *, folder: str = "") -> None:
        """Upload a file or a folder as it is now, below `folder` of the run's artifacts."""
        if not path.exists():
            print_tracking_notice(f"there is no {path}: it is not logged to MLflow")
            return
        with self._report_lost_message():
            self._append_file(self._outbox.copy_file(path), folder)

    def log_table(self, rows: Sequence[Mapping[str, Any]], file: str) -> None:
        """Upload rows as a JSON file, such as `jobs.json`, which MLflow shows as a table."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        data = [[row.get(name) for name in columns] for row in rows]
        self.log_text(json.dumps({"columns": columns, "data": data}, default=str, allow_nan=False), file)
        self.set_tags({"mlflow.loggedArtifacts": [{"path": file, "type": "table"}]})

    def log_text(self, content: str, file: str) -> None:
        """Upload a text as a file with this path among the run's artifacts."""
        path = Path(file)
        with self._report_lost_message():
            place = Path("files", uuid.uuid4().hex[:12], path.name)
            (self._outbox.folder / place).parent.mkdir(parents=True)
            (self._outbox.folder / place).write_text(content, encoding="utf-8")
            folder = "" if path.parent == Path() else path.parent.as_posix()
            self._append_file(place.as_posix(), folder)

    def log_dataset(
        self, name: str, digest: str, *, source: str, classes: Sequence[str], splits: Mapping[str, Any]
    ) -> None:
        """Log the dataset as the run's input.

        Args:
            name: The dataset's name for people.
            digest: SHA-256 of its contents; MLflow shows the first 12 characters.
            source: Where it came from, such as a folder relative to the project.
            classes: The class names.
            splits: Facts per split, such as `{"train": {"images": 160, "objects": {"pit": 301}}}`.
        """
        facts = describe_dataset(name, digest, source=source, classes=classes, splits=splits)
        self._append("dataset", facts=facts)

    def log_model(
        self,
        weights: Path,
        *,
        example: Path,
        metrics: Mapping[str, Any],
        task: Task = "detect",
        imgsz: int | None = None,
    ) -> None:
        """Log the weights as a model that `mlflow.pyfunc.load_model` loads.

        Args:
            weights: An Ultralytics checkpoint.
            example: An image that becomes the model's input example.
            metrics: Results of these weights, under names that no curve of the run has.
            task: The task of the weights.
            imgsz: The image size of the training, in pixels; None leaves it to the checkpoint.
        """
        place = Path("files", uuid.uuid4().hex[:12], "model")
        try:
            (self._outbox.folder / place).parent.mkdir(parents=True)
            save_model(self._outbox.folder / place, weights, example, task=task, imgsz=imgsz)
        except Exception as error:  # of MLflow: it costs the logged model, not the training
            self._refuse_full_disk(error)
            print_tracking_notice(f"the model could not be saved for MLflow: {error}")
        else:
            self._append("model", file=place.as_posix(), values=sanitize_metrics(metrics))

    def set_model_defaults(self, defaults: Mapping[str, float]) -> None:
        """Set the defaults of a prediction, under Ultralytics' names, such as the conf chosen on val.

        The model of the run has them from then on, or from its upload; a child run only shows them.
        """
        self._append("defaults", defaults=dict(defaults))

    def register_model_at_end(self, name: str) -> None:
        """Register the run's model as the challenger of a registered model, if the stage finishes.

        It is done when the run is FINISHED: no other run is registered. A server that is away gets it later.

        Args:
            name: Of the registered model.
        """
        self.registered_name = name

    def _append_file(self, place: str, folder: str) -> None:
        self._append("artifact", file=place, folder=folder, files=self._outbox.list_files(place))

    def _append(self, kind: str, **content: Any) -> None:
        with self._report_lost_message():
            self._outbox.append(kind, **content)
        self.start_sending()

    @contextlib.contextmanager
    def _report_lost_message(self) -> Iterator[None]:
        """Report a message that cannot be written, and continue: it must not stop the training.

        A full disk does stop it: its run would end as FINISHED without what was lost, such as the model. The
        training continues from its checkpoint when there is space.
        """
        try:
            yield
        except (OSError, shutil.Error) as error:
            self._refuse_full_disk(error)
            print_tracking_notice(f"a message for MLflow could not be written and is lost: {error}")

    def _refuse_full_disk(self, error: Exception) -> None:
        if is_disk_full(error):
            raise UserError(describe_full_disk(self._outbox.folder)) from error
