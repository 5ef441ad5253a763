"""The training class of each task: `TrainingMixin` before Ultralytics' trainer of that task.

No class name here contains "Trainer": Ultralytics attaches its own MLflow, DVC and other callbacks to every
class with that word in its name (ultralytics/utils/callbacks/base.py, add_integration_callbacks).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from ultralytics.data import build_dataloader
from ultralytics.models import yolo
from ultralytics.utils.metrics import ClassifyMetrics
from ultralytics.utils.torch_utils import torch_distributed_zero_first

from pipeline.core.tasks import Task
from pipeline.yolo.training.datasets.classification_dataset import build_classification_dataset
from pipeline.yolo.training.trainer import TrainingMixin


class DetectTraining(TrainingMixin, yolo.detect.DetectionTrainer):  # type: ignore[misc]
    """Training of upright boxes."""


class SegmentTraining(TrainingMixin, yolo.segment.SegmentationTrainer):  # type: ignore[misc]
    """Training of outlines, as masks."""


class ObbTraining(TrainingMixin, yolo.obb.OBBTrainer):  # type: ignore[misc]
    """Training of rotated boxes."""


class PoseTraining(TrainingMixin, yolo.pose.PoseTrainer):  # type: ignore[misc]
    """Training of boxes with key points."""


class ClassifyTraining(TrainingMixin, yolo.classify.ClassificationTrainer):  # type: ignore[misc]
    """Training of classes of whole images.

    Attributes:
        unstored_bytes: By split: of the decoded images that its samples will still store on the disk.
    """

    unstored_bytes: Mapping[str, int] = MappingProxyType({})

    def build_dataset(self, img_path: list[str], mode: str = "train", batch: Any = None) -> Any:
        """Build this project's dataset; decoded images of train and val must fit onto the disk together."""
        del batch
        reserved = sum(count for other, count in self.unstored_bytes.items() if other != mode)
        dataset = build_classification_dataset(
            self.args, img_path, data=self.data, train=mode == "train", reserved_bytes=reserved
        )
        self.unstored_bytes = {**self.unstored_bytes, mode: dataset.unstored_bytes}
        return dataset

    def get_dataloader(
        self, dataset_path: list[str], batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Build a loader that shuffles only train images: the val loss depends on the batches."""
        with torch_distributed_zero_first(rank):  # of several processes the first one writes decoded images
            dataset = self.build_dataset(dataset_path, mode)
        loader = build_dataloader(
            dataset,
            batch=batch_size,
            workers=self.args.workers,
            shuffle=mode == "train",
            rank=rank,
            drop_last=bool(self.args.compile) and mode == "train",
            device=self.device,
        )
        return self.repeat_rare_images(loader, mode)

    def get_validator(self) -> Any:
        """Return Ultralytics' validator, with top-1 alone as its fitness."""
        validator = super().get_validator()
        validator.metrics = _TopOneMetrics()
        return validator


class _TopOneMetrics(ClassifyMetrics):  # type: ignore[misc]
    @property
    def fitness(self) -> float:
        return float(self.top1)


TRAINING_CLASSES: Final[dict[Task, type[TrainingMixin]]] = {
    "detect": DetectTraining,
    "segment": SegmentTraining,
    "obb": ObbTraining,
    "pose": PoseTraining,
    "classify": ClassifyTraining,
}
