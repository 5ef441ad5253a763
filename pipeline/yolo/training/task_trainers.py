"""A training for each task: ours before Ultralytics' trainer of that task."""

from __future__ import annotations

from typing import Any, Final

from ultralytics.data import build_dataloader
from ultralytics.models import yolo
from ultralytics.utils.metrics import ClassifyMetrics

from pipeline.core.tasks import Task
from pipeline.yolo.training.datasets import build_classification_dataset
from pipeline.yolo.training.trainer import TrainerMixin


class DetectTrainer(TrainerMixin, yolo.detect.DetectionTrainer):  # type: ignore[misc]
    """Upright boxes."""


class SegmentTrainer(TrainerMixin, yolo.segment.SegmentationTrainer):  # type: ignore[misc]
    """Outlines, as masks."""


class ObbTrainer(TrainerMixin, yolo.obb.OBBTrainer):  # type: ignore[misc]
    """Boxes that are turned."""


class PoseTrainer(TrainerMixin, yolo.pose.PoseTrainer):  # type: ignore[misc]
    """Boxes with points."""


class ClassifyTrainer(TrainerMixin, yolo.classify.ClassificationTrainer):  # type: ignore[misc]
    """Images as a whole."""

    def build_dataset(self, img_path: list[str], mode: str = "train", batch: Any = None) -> Any:
        """Build our own dataset."""
        del batch
        return build_classification_dataset(self.args, img_path, data=self.data, train=mode == "train")

    def get_dataloader(
        self, dataset_path: list[str], batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Shuffle train images alone: in another order, val batches have another loss after a resume."""
        return build_dataloader(
            self.build_dataset(dataset_path, mode),
            batch=batch_size,
            workers=self.args.workers,
            shuffle=mode == "train",
            rank=rank,
            drop_last=bool(self.args.compile) and mode == "train",
            device=self.device,
        )

    def get_validator(self) -> Any:
        """Watch top-1 alone."""
        validator = super().get_validator()
        validator.metrics = _TopOne()
        return validator


class _TopOne(ClassifyMetrics):  # type: ignore[misc]
    @property
    def fitness(self) -> float:
        return float(self.top1)


TRAININGS: Final[dict[Task, type[TrainerMixin]]] = {
    "detect": DetectTrainer,
    "segment": SegmentTrainer,
    "obb": ObbTrainer,
    "pose": PoseTrainer,
    "classify": ClassifyTrainer,
}
