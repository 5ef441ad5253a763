"""Set the number of torch's threads, and adapt it to the load of the machine while a model computes."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final, Self

import torch
from torch.nn.modules import module as hooks

from pipeline.core.text import format_count
from pipeline.runtime.cpu_load import CpuLoadMeter
from pipeline.runtime.progress import print_notice
from pipeline.runtime.thread_controller import ThreadController
from pipeline.runtime.worker_count import count_available_cores
from pipeline.yolo.ultralytics_environment import read_requested_threads

SAMPLE_SECONDS: Final = 0.5
"""Time between two measurements of the load."""
MIN_NOTICE_SECONDS: Final = 60.0
"""Time between two lines about the number; it may change more often."""
_TOLD: dict[str, tuple[int, float]] = {}
"""The number that was printed last, and when, by stage: one process may predict several times."""


class TorchThreads(AbstractContextManager["TorchThreads"]):
    """The number of threads of one training, or of one series of predictions.

    A number that was asked for stays as it is. Otherwise there is one thread per physical core, and fewer
    while other processes use the cores: a thread measures the load, and the thread that computes changes the
    number between two layers, forward or backward, so that the end of a long step need not be awaited.
    """

    def __init__(self, requested: int | None, *, stage: str, fast: bool = True) -> None:
        """Set the number of threads.

        Args:
            requested: finetune.threads; None for auto.
            stage: Starts the lines on the console.
            fast: Whether auto means all free cores. False: it means torch's own number, limited to the cores.
        """
        self._stage, self._cores = stage, count_available_cores()
        self._resources = ExitStack()
        self._controller: ThreadController | None = None
        self._area, self._since = 0.0, time.monotonic()
        self._counted_from, self._step = self._since, (self._since, 0, 1.0)
        self._number = requested or (read_requested_threads() if fast else 0)
        if not self._number:
            most = count_available_cores(physical=True)
            self._number = most if fast else min(torch.get_num_threads(), self._cores)
            if fast and most > 1:
                self._controller = ThreadController(most=most, cores=self._cores)
                self._meter, self._lock = CpuLoadMeter(), threading.Lock()
        self._first = self._number
        self.restore()
        if self._number > self._cores:
            print_notice(
                f"{stage}: {self._number} threads on {self._cores} cores are slower than fewer threads"
            )

    def __enter__(self) -> Self:
        """Begin with the free cores, and adapt the number from now on. Call it where the model computes."""
        if self._controller is not None:
            self._controller.start(self._meter.read())
            self._follow()
            self._start_sampling(self._controller)
            self._add_hooks()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def restore(self) -> None:
        """Set the number again: Ultralytics sets its own one when it chooses a device."""
        torch.set_num_threads(self._number)

    def begin_step(self, work: float = 1.0) -> None:
        """Note that a step begins.

        Args:
            work: What its time is in proportion to, such as its pixels.
        """
        self._follow()
        self._step = (time.monotonic(), self._number, work)

    def end_step(self) -> None:
        """Note that a step has ended."""
        if self._controller is not None:
            now, (start, threads, work) = time.monotonic(), self._step
            with self._lock:
                self._controller.observe_step((now - start) / work, threads=threads, now=now)

    def forget_steps(self) -> None:
        """Note that the work of a step changes from now on."""
        if self._controller is not None:
            with self._lock:
                self._controller.forget_steps()

    def read_average(self) -> float:
        """Return the average number of threads since the last call: 2.0 where it did not change."""
        self._count_until_now()
        average = self._area / max(self._since - self._counted_from, 1e-9)
        self._area, self._counted_from = 0.0, self._since
        return average

    def _start_sampling(self, controller: ThreadController) -> None:
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(SAMPLE_SECONDS):
                load = self._meter.read()
                with self._lock:
                    controller.observe_load(load, time.monotonic())

        thread = threading.Thread(target=sample, name=f"{self._stage}-load", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system allows no further thread: the number stays as it is
            return
        self._resources.callback(thread.join)
        self._resources.callback(stop.set)

    def _add_hooks(self) -> None:
        """Look at the number before each layer, forward and backward.

        Layers of other threads do not count, nor those of worker processes of a loader: forked from this one,
        they have its hooks, and one thread each.
        """
        owner = _identify_thread()

        def before(_module: Any, _inputs: Any) -> None:
            if _identify_thread() == owner:
                self._follow()

        def follow_gradient(_gradient: torch.Tensor) -> None:
            before(None, None)

        def after(module: Any, _inputs: Any, output: Any) -> None:
            layer = hasattr(module, "i")  # Ultralytics' index of the layers of a network, not of their parts
            if layer and isinstance(output, torch.Tensor) and output.requires_grad:
                output.register_hook(follow_gradient)  # type: ignore[no-untyped-call]

        for handle in (
            hooks.register_module_forward_pre_hook(before),
            hooks.register_module_forward_hook(after),
        ):
            self._resources.callback(handle.remove)

    def _follow(self) -> None:
        """Use the number that the controller has chosen."""
        if self._controller is None:
            return
        if self._controller.threads != self._number:
            self._count_until_now()
            self._number = self._controller.threads
            self.restore()
        told, when = _TOLD.get(self._stage, (self._first, -math.inf))
        if self._number != told and time.monotonic() - when >= MIN_NOTICE_SECONDS:
            self._print_number(told, self._controller.others)

    def _print_number(self, told: int, others: float) -> None:
        _TOLD[self._stage] = self._number, time.monotonic()
        used = f"other programs use {others:.1f} of {self._cores} cores"
        print_notice(f"{self._stage}: {format_count(self._number, 'thread')} instead of {told}: {used}")

    def _count_until_now(self) -> None:
        now = time.monotonic()
        self._area += self._number * (now - self._since)
        self._since = now


def _identify_thread() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()
