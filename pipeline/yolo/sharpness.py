"""Sharpness-aware minimization: a step follows the gradient at the worst weights nearby, not at the weights.

After Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization (2021). Each batch
goes through the network twice: the first gradient leads to the worst weights within `rho`, and the second
one, computed there, changes the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from ultralytics.engine.trainer import BaseTrainer

from pipeline.core.errors import UserError
from pipeline.yolo.frozen.features import attach_batch_indices
from pipeline.yolo.job import TrainingJob
from pipeline.yolo.training.precision import autocast_forward_pass
from pipeline.yolo.training.resume.optimizer_steps import OptimizerSteps
from pipeline.yolo.unwrap import unwrap_student


class SharpnessMixin(BaseTrainer):  # type: ignore[misc]
    """A trainer that makes sharpness-aware steps where its job says so."""

    job: TrainingJob
    steps: OptimizerSteps
    last_batch: dict[str, Any]

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch, and keep it for the second gradient."""
        ready: dict[str, Any] = super().preprocess_batch(batch)
        if self.job.sam:
            self.last_batch = ready
        return ready

    def optimizer_step(self) -> None:
        """Make a step; a sharpness-aware one replaces the gradient first.

        Raises:
            UserError: The gradient is scaled, or is that of several batches.
        """
        if self.job.sam:
            self._check_gradient()
            self._replace_gradient()
        super().optimizer_step()

    def _check_gradient(self) -> None:
        sam = f"finetune.sam={self.job.sam:g}"
        if self.scaler.is_enabled():
            raise UserError(f"{sam} is not possible in fp16: set finetune.precision to bf16 or fp32")
        if self.steps.accumulate > 1:  # the schema allows it no other way than by too little memory
            size = self.batch_size
            raise UserError(
                f"{sam} needs one batch for each optimizer step, but the memory is enough for {size} images: "
                f"set finetune.batch and finetune.nbs to {size}"
            )

    def _replace_gradient(self) -> None:
        """Replace the gradient at the weights by that at the worst weights nearby."""
        learning = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        weights = perturb_weights(learning, self.job.sam)
        self.optimizer.zero_grad()
        student = unwrap_student(self.model)
        with pause_batch_norms(student.modules()), autocast_forward_pass(self):
            loss, _ = self.model(attach_batch_indices(self.last_batch, student, self.train_loader.dataset))
        loss.sum().backward()
        with torch.no_grad():
            for parameter, before in zip(learning, weights, strict=True):
                parameter.copy_(before)


def perturb_weights(parameters: Sequence[nn.Parameter], rho: float) -> list[torch.Tensor]:
    """Move weights along their gradient by `rho` in all, in the Euclidean norm.

    Args:
        parameters: With gradients.
        rho: Above 0.

    Returns:
        Copies of the weights before.
    """
    with torch.no_grad():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in gradients]))
        before = [parameter.clone() for parameter in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.add_(gradient * (rho / (norm + 1e-12)))
    return before


@contextmanager
def pause_batch_norms(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Keep BatchNorm layers from changing their statistics, which belong to the weights before."""
    norms = [(module, module.momentum) for module in modules if isinstance(module, nn.BatchNorm2d)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
