"""The process group of a training: open it, share and average values, and what Ultralytics leaves open.

Ultralytics trains in several processes on GPUs alone. On CPUs (gloo) it stops in two places, which are mended
here: it names a device index to DistributedDataParallel, and it averages the val losses by an operation that
gloo lacks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
from torch import distributed, nn
from ultralytics.engine import validator as validator_module

from pipeline.yolo.distributed.group_member import GroupMember

TIMEOUT: Final = timedelta(hours=1)
"""How long a process waits for the others in one operation: for the first one, which caches the images, too.
A process that is stopped, or whose machine is lost, is noticed within a minute by the one that watches."""
LOST_PEER_SIGNS: Final = ("gloo/transport", "Connection closed by peer", "Connection reset by peer", "NCCL")
MAX_WEIGHT_DIFFERENCE: Final = 1e-6
"""Relative difference of the sums of all weights that two kinds of GPUs may come to."""
_store_place: dict[str, Any] = {}
_T = TypeVar("_T")


def join_later(port: int) -> None:
    """Remember the port of the store at MASTER_ADDR, for `open_process_group`."""
    _store_place["port"] = port


def open_process_group(member: GroupMember, device: torch.device) -> None:
    """Join the processes of this training: NCCL where they are on GPUs, else gloo."""
    from torch._C._distributed_c10d import TCPStore  # some builds of torch lack it

    on_gpu = device.type == "cuda"
    if on_gpu:
        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # as Ultralytics does: a timeout is an error
    store = TCPStore(os.environ["MASTER_ADDR"], _store_place["port"], is_master=False, timeout=TIMEOUT)
    distributed.init_process_group(
        "nccl" if on_gpu and distributed.is_nccl_available() else "gloo",
        store=store,
        rank=member.rank,
        world_size=member.size,
        timeout=TIMEOUT,
    )


def share_from_first(value: _T) -> _T:
    """Return the value that the first process has. All processes have to call it."""
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def average_over_processes(
    values: Mapping[str, torch.Tensor], device: torch.device
) -> dict[str, torch.Tensor]:
    """Return the means over all processes of numbers that each of them has under the same names."""
    means = torch.stack([value.detach().float().reshape(()) for value in values.values()]).to(device)
    distributed.all_reduce(means)
    means /= distributed.get_world_size()
    return dict(zip(values, means, strict=True))


def require_equal_weights(model: nn.Module, device: torch.device) -> None:
    """Check that all processes have the same parameters, as they must after each step.

    Raises:
        RuntimeError: They have not, which is a fault of this code or of a machine.
    """
    total = torch.zeros((), dtype=torch.float64, device=device)
    for parameter in model.parameters():
        total += parameter.detach().abs().sum(dtype=torch.float64)
    limits = torch.stack([total, -total])
    distributed.all_reduce(limits, op=distributed.ReduceOp.MAX)
    most, least = limits[0].item(), -limits[1].item()
    if most - least > MAX_WEIGHT_DIFFERENCE * most:
        raise RuntimeError(
            f"the processes of the training have different weights: {least!r} to {most!r} in all"
        )


def is_lost_peer(error: BaseException) -> bool:
    """Tell whether an error says that another process of the group is gone."""
    if isinstance(error, distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in LOST_PEER_SIGNS)


class CpuDataParallel(nn.parallel.DistributedDataParallel):
    """DistributedDataParallel for a model on the CPU, which has no index of a device."""

    def __init__(self, module: nn.Module, device_ids: Any = None, **settings: Any) -> None:
        del device_ids
        super().__init__(module, **settings)


@contextmanager
def allow_cpu_processes(device: torch.device) -> Iterator[None]:
    """Let Ultralytics set up a training in several processes on CPUs."""
    used = nn.parallel.DistributedDataParallel
    if device.type == "cpu":
        nn.parallel.DistributedDataParallel = CpuDataParallel  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        nn.parallel.DistributedDataParallel = used  # type: ignore[misc]


class _ValLossReduction:
    """Stands for torch.distributed in Ultralytics' validator: sums of losses become means over all batches.

    Ultralytics averages the sums of all processes and divides by the batches of the first one, which is
    wrong where others have fewer.
    """

    def __init__(self, batches: int, device: torch.device) -> None:
        total = torch.tensor(float(batches), device=device)
        distributed.all_reduce(total)
        self._share = batches / float(total)

    def __getattr__(self, name: str) -> Any:
        return getattr(distributed, name)

    def reduce(self, tensor: torch.Tensor, dst: int, op: Any) -> None:
        """Replace a sum of one process by that of all, as the caller divides by its own batches alone."""
        del dst, op
        distributed.all_reduce(tensor)
        tensor *= self._share


@contextmanager
def average_val_losses(batches: int, device: torch.device) -> Iterator[None]:
    """Make Ultralytics' validator average its losses over the val batches of all processes.

    Args:
        batches: Val batches of this process.
        device: Of this process.
    """
    used = validator_module.dist
    validator_module.dist = _ValLossReduction(batches, device)
    try:
        yield
    finally:
        validator_module.dist = used
