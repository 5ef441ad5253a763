"""Which model answers: what is in every answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from pipeline.core.tasks import Task


class ModelIdentity(NamedTuple):
    """The model that answers.

    Attributes:
        reference: As the user named it, such as champion.
        label: The name of its run, or of the file.
        task: The task.
        names: Class names by index.
        run_id: Its MLflow run; None if it has none.
        version: Of the registered model; None if it is not registered.
        sha256: Of the weights.
        imgsz: Pixels of the network's input.
        conf: The lowest score that is answered.
        iou: Of the non-maximum suppression.
        max_det: Detections per image at most.
        tile: Pixels of the tiles in which a larger image is predicted on; None for no tiles.
    """

    reference: str
    label: str
    task: Task
    names: tuple[str, ...]
    run_id: str | None
    version: str | None
    sha256: str | None
    imgsz: int
    conf: float
    iou: float
    max_det: int
    tile: int | None = None

    def describe(self) -> str:
        """Return one line for people: `champion (version 3, run brave-owl)`."""
        if self.label == self.reference:
            return self.label
        version = f"version {self.version}, " if self.version else ""
        return f"{self.reference} ({version}{'run ' if self.run_id else ''}{self.label})"

    def to_json(self) -> dict[str, Any]:
        """Return what an answer says about its model; the class names are in /health."""
        known = {
            "reference": self.reference,
            "label": self.label,
            "run": self.run_id,
            "version": self.version,
            "sha256": self.sha256,
            "task": self.task,
            "imgsz": self.imgsz,
        }
        if self.task == "classify":  # the others have no meaning
            return known
        return known | {"conf": self.conf, "iou": self.iou, "max_det": self.max_det, "tile": self.tile}

    def build_headers(self) -> dict[str, str]:
        """Return the headers that name the model; those that are not known are left out."""
        known = {"x-model-version": self.version, "x-model-run": self.run_id, "x-model-sha256": self.sha256}
        return {name: value for name, value in known.items() if value}
