"""Learn a teacher's features: the feature maps that backbone and neck hand on, everywhere in the image.

Ultralytics' own distillation compares the maps before the head, where the teacher sees an object. That helps
little where the teacher does not know the objects, as on drawn images. Here each map of the teacher is
normalized per channel, and a linear layer predicts it from that of the student (after FitNets, Romero et al.
2015, and the normalized features of Heo et al., A Comprehensive Overhaul of Feature Distillation, 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.engine import trainer as ultralytics_trainer
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.distill_model import DistillationModel

from pipeline.core.errors import UserError
from pipeline.yolo.job import TrainingJob

_NORM_MOMENTUM: Final = 0.02
_OTHER_MAPS: Final = (
    "finetune.distill_model has feature maps of other numbers or strides than the model: name "
    "a teacher with the same ones, such as yolov8n or yolo26n, or set finetune.distill_features=false"
)


class FeatureDistillationMixin(BaseTrainer):  # type: ignore[misc]
    """A trainer whose student learns all features of its teacher where its job says so."""

    job: TrainingJob

    def _setup_train(self) -> None:
        with _distill_features(self.job.distill_features):
            super()._setup_train()


def check_teacher(student: Any, teacher: Any) -> None:
    """Check that a network can learn from the detection head of another one.

    Raises:
        UserError: The teacher has no such head, or one that looks at another number of feature maps.
    """
    try:
        theirs, own = (len(DistillationModel.get_distill_layers(each)) - 1 for each in (teacher, student))
    except ValueError:
        raise UserError(
            "finetune.distill_model finds no objects, which the model is to learn: name weights for detect, "
            "segment, obb or pose"
        ) from None
    if theirs != own:
        raise UserError(
            f"finetune.distill_model detects on {theirs} feature maps, and the model on {own}: name a "
            "teacher with as many, such as yolov8n or yolo26n"
        )


@contextmanager
def _distill_features(enabled: bool) -> Iterator[None]:
    """Let Ultralytics' trainer, which names the class itself, set up the model below."""
    if enabled:
        ultralytics_trainer.DistillationModel = FeatureDistillationModel
    try:
        yield
    finally:
        ultralytics_trainer.DistillationModel = DistillationModel


class FeatureDistillationModel(DistillationModel):  # type: ignore[misc]
    """A student that learns the feature maps of its teacher beside its own task."""

    def __init__(self, teacher_model: str | Path | nn.Module, student_model: nn.Module) -> None:
        try:
            super().__init__(teacher_model, student_model)
        except ValueError as error:  # another number of maps
            raise UserError(_OTHER_MAPS) from error
        # Ultralytics has just sent a blank image through both.
        pairs = list(zip(self._student_feats.values(), self._teacher_feats.values(), strict=True))[:-1]
        if any(own.shape[2:] != target.shape[2:] for own, target in pairs):
            raise UserError(_OTHER_MAPS)
        widths = [(own.shape[1], target.shape[1]) for own, target in pairs]
        device = next(student_model.parameters()).device
        self.projector = nn.ModuleList(nn.Conv2d(own, target, 1) for own, target in widths).to(device)
        norms = (nn.BatchNorm2d(target, affine=False, momentum=_NORM_MOMENTUM) for _, target in widths)
        self.norms = nn.ModuleList(norms).to(device)

    @staticmethod
    def get_distill_layers(model: nn.Module) -> list[int]:
        """List the layers whose outputs are compared, and the head.

        Args:
            model: The student or the teacher.

        Returns:
            Layers of the backbone that the neck uses, layers that the head uses, and the head.
        """
        return [*list_backbone_outputs(model), *DistillationModel.get_distill_layers(model)]

    def loss(
        self, batch: dict[str, torch.Tensor], preds: Any = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the student's own loss and, in training, that of its features (`dis_loss`).

        Args:
            batch: Of images and labels.
            preds: Predictions of the student, in validation.

        Returns:
            The loss with that of the features appended, and the parts of it.
        """
        if not self.training:
            validated: tuple[torch.Tensor, dict[str, torch.Tensor]] = super().loss(batch, preds)
            return validated
        self._teacher_feats.clear()
        self._student_feats.clear()
        with torch.no_grad():
            self.teacher_model(batch["img"])
        own, items = self.student_model.loss(batch, self.student_model(batch["img"]))
        parts = [self._compare(level) for level in range(len(self.projector))]
        features = (torch.stack(parts).sum() * self.dis).reshape(1)
        items["dis_loss"] = features.detach()
        return torch.cat([own, features * len(batch["img"])]), items

    def _compare(self, level: int) -> torch.Tensor:
        with torch.no_grad():
            target = self.norms[level](self._teacher_feats[level].float())
        found = self.projector[level](self._student_feats[level].float())
        return F.smooth_l1_loss(found.float(), target)


def list_backbone_outputs(model: Any) -> list[int]:
    """List the layers of the backbone whose outputs its neck and head use."""
    size = len(model.yaml["backbone"])
    sources = {
        index
        for layer in model.model[size:]
        for index in ([layer.f] if isinstance(layer.f, int) else layer.f)
        if 0 <= index < size
    }
    return sorted({*sources, size - 1})
