"""Mixin for trainers: what differs where several processes train one model. Alone it changes nothing."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import init_seeds

from pipeline.runtime.worker_count import count_available_cores
from pipeline.yolo.distributed.group_member import read_member
from pipeline.yolo.distributed.process_group import (
    allow_cpu_processes,
    average_over_processes,
    average_val_losses,
    open_process_group,
    require_equal_weights,
    share_from_first,
)
from pipeline.yolo.training.resume.state import compute_epoch_seed
from pipeline.yolo.ultralytics_environment import read_requested_threads

_T = TypeVar("_T")


class MemberMixin(BaseTrainer):  # type: ignore[misc]
    """A trainer that may be one of several processes, each with a part of every batch.

    All processes have the same weights after each step. The first one alone knows rows, early stopping and
    checkpoints, so what depends on them is decided there and shared.
    """

    loss: torch.Tensor
    tloss: dict[str, torch.Tensor]
    state: dict[str, Any] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.member = read_member()
        super().__init__(*args, **kwargs)
        if self.member.size > 1:  # Ultralytics counts the devices that its arguments name: one here
            self.world_size = self.member.size
            # the same random weights as in one process; Ultralytics gives each process a seed of its own
            init_seeds(self.args.seed, deterministic=self.args.deterministic)

    @property
    def is_shared(self) -> bool:
        """Whether other processes train the same model."""
        return self.member.size > 1

    def share(self, value: _T) -> _T:
        """Return the first process's value."""
        return share_from_first(value) if self.is_shared else value

    def count_own_cores(self) -> int:
        """Count the CPU cores for this process, at least 1."""
        return max(1, count_available_cores() // self.member.local_size)

    def choose_own_threads(self, requested: int | None) -> int | None:
        """Return finetune.threads; `auto` (None) is a share of the physical cores where others train too."""
        if requested or not self.is_shared or self.device.type != "cpu":
            return requested
        cores = count_available_cores(physical=True) // self.member.local_size
        return read_requested_threads() or max(1, cores)

    def average_losses(self) -> None:
        """Average the train losses over all processes, each of which knows those of its own images.

        Raises:
            RuntimeError: The processes have different weights.
        """
        if self.is_shared:
            losses = average_over_processes({**self.tloss, "": self.loss}, self.device)
            self.loss = losses.pop("")
            self.tloss = losses
            require_equal_weights(self.model, self.device)

    def validate(self) -> Any:
        """Validate; each process predicts on a part of the val images."""
        if not self.is_shared:
            return super().validate()
        with average_val_losses(len(self.test_loader), self.device):
            return super().validate()

    def _setup_ddp(self) -> None:
        open_process_group(self.member, self.device)
        self.state = self.share(self.state)  # the checkpoint that all of them continue from

    def _setup_train(self) -> None:
        with allow_cpu_processes(self.device):
            super()._setup_train()

    def _build_train_pipeline(self) -> None:
        super()._build_train_pipeline()
        if self.is_shared:
            # the same order in all processes; the sampler adds the epoch
            self.train_loader.sampler.seed = compute_epoch_seed(int(self.args.seed), 0)
