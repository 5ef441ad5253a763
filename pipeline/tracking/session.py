"""One stage's word on one run: it is written down at once and sent in the background."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.tasks import Task
from pipeline.tracking import dataset_input as tracking_dataset
from pipeline.tracking import logged_model as tracking_model
from pipeline.tracking import sanitize
from pipeline.tracking.outbox import RunOutbox
from pipeline.tracking.sender import OutboxSender, tell
from pipeline.tracking.system_metrics import SECONDS


class RunSession:
    """What a stage says about its run. No call waits for MLflow, and none fails because of it."""

    def __init__(self, journal: RunOutbox, begin: Callable[[], OutboxSender], *, patience: float) -> None:
        self._journal = journal
        self._begin = begin
        self._patience = patience

    @functools.cached_property
    def _sender(self) -> OutboxSender:
        return self._begin()

    def begin(self) -> None:
        """Start to send, which the first word does else.

        Raises:
            Refused: The store cannot be used.
        """
        self._sender.wake()

    def close(self, patience: float) -> None:
        """Send what waits, for so many seconds at most."""
        self._sender.close(patience)

    @property
    def run_id(self) -> str | None:
        """The run's id; None while the store is away. It waits for a store that is merely slow."""
        return self._sender.run_id(self._patience)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters, nested ones as `group.key`."""
        self._say("params", values=sanitize.params(values))

    def metrics(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Log numbers: with a step (an epoch) as points of curves, without one as results.

        A step that a curve already has stays as it is; of results the newest is shown, and they are
        tied to the run's model too. What is no number is left out.
        """
        self._say("metrics", values=sanitize.numbers(values), step=step)

    def load(self, values: Mapping[str, float]) -> None:
        """Log the machine's load; its step counts the seconds since the run began."""
        self._say("metrics", values=sanitize.numbers(values), step=None, every=int(SECONDS * 1000))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; a None is left out."""
        self._say("tags", values=sanitize.tags(values))

    def describe(self, markdown: str) -> None:
        """Set the text that MLflow shows on the run's page."""
        self.tags({"mlflow.note.content": markdown})

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Upload a file or a folder as it is now."""
        with self._kept():
            self._say("artifact", file=self._journal.keep(path), folder=folder)

    def table(self, rows: Sequence[Mapping[str, Any]], file: str) -> None:
        """Upload rows as a table, such as `jobs.json`, and have MLflow show it as one."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        data = [[row.get(name) for name in columns] for row in rows]
        self.text(json.dumps({"columns": columns, "data": data}, default=str), file)
        self.tags({"mlflow.loggedArtifacts": [{"path": file, "type": "table"}]})

    def text(self, content: str, file: str) -> None:
        """Upload a text as a file."""
        path = Path(file)
        with self._kept():
            place = Path("files", uuid.uuid4().hex[:12], path.name)
            (self._journal.folder / place).parent.mkdir(parents=True)
            (self._journal.folder / place).write_text(content, encoding="utf-8")
            folder = "" if path.parent == Path() else path.parent.as_posix()
            self._say("artifact", file=place.as_posix(), folder=folder)

    def dataset(
        self, name: str, digest: str, *, source: str, classes: Sequence[str], splits: Mapping[str, Any]
    ) -> None:
        """Log the dataset as the run's input.

        Args:
            name: What a person calls it.
            digest: SHA-256 of its contents; MLflow shows the first 12 digits of it.
            source: Where it came from, such as a folder relative to the project.
            classes: The class names.
            splits: Facts per split, such as `{"train": {"images": 160, "objects": {"pit": 301}}}`.
        """
        facts = tracking_dataset.facts(name, digest, source=source, classes=classes, splits=splits)
        self._say("dataset", facts=facts)

    def model(
        self, weights: Path, *, example: Path, metrics: Mapping[str, Any], task: Task = "detect"
    ) -> None:
        """Log the weights as a model that `mlflow.pyfunc.load_model` loads.

        Args:
            weights: An Ultralytics checkpoint.
            example: An image that becomes the model's input example.
            metrics: Results that belong to these weights, under names that no curve of the run has.
            task: Of the weights: what a prediction is.
        """
        place = Path("files", uuid.uuid4().hex[:12], "model")
        with self._kept():
            (self._journal.folder / place).parent.mkdir(parents=True)
            tracking_model.save(self._journal.folder / place, weights, example, task=task)
            facts = {"id": place.parent.name, "values": sanitize.numbers(metrics)}
            self._say("model", file=place.as_posix(), **facts)

    def _say(self, kind: str, **content: Any) -> None:
        with self._kept():
            self._journal.append(kind, **content)
        self.begin()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """A full disk costs a message, with a word, and never the training."""
        try:
            yield
        except (OSError, shutil.Error) as error:
            tell(f"a message for MLflow could not be kept and is lost: {error}")
