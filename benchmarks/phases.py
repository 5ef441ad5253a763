"""Run `yolo detect train` or a stage of the pipeline, and write the time of each phase of its training.

    python benchmarks/phases.py FILE yolo detect train data=...
    python benchmarks/phases.py FILE pipeline finetune

Writes seconds by phase and the peak GPU memory to FILE. A few methods of Ultralytics' trainer, which both
trainings use, are timed; a nested phase counts for the outer one. A GPU runs asynchronously, so there the
times are events in its queue, and nothing waits for them. The GPU loader makes the next batch during the
optimizer's step, which counts as optimizer.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

BEGAN = time.perf_counter()
METHODS = {
    "optimizer_step": "optimizer",
    "preprocess_batch": "data",
    "validate": "validation",
    "save_model": "checkpoint",
    "final_eval": "last validation",
    "plot_training_samples": "plots",
    "plot_metrics": "plots",
}


class Clock:
    """Seconds by phase; the outermost phase counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.spans: list[tuple[str, Any, Any]] = []
        self.busy = False

    def timed(self, phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call, timed."""

        def inner(*args: Any, **kwargs: Any) -> Any:
            if self.busy:
                return call(*args, **kwargs)
            self.busy, start = True, _moment()
            try:
                return call(*args, **kwargs)
            finally:
                self.busy = False
                self.spans.append((phase, start, _moment()))

        return inner

    def iterated(self, phase: str, iterate: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Wrap a function that returns an iterator: each step is timed."""

        def inner(loader: Any) -> Iterator[Any]:
            step = self.timed(phase, lambda steps: next(steps, None))
            steps = iterate(loader)
            while (batch := step(steps)) is not None:
                yield batch

        return inner

    def add_up(self) -> None:
        """Add the measured times to the seconds of their phases."""
        for phase, start, end in self.spans:
            on_host = isinstance(end, float)
            self.seconds[phase] += end - start if on_host else start.elapsed_time(end) / 1000
        self.spans.clear()


def _gpu() -> Any:
    """Return torch.cuda, or None if no GPU is used."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None


def _moment() -> Any:
    """Return the time, or an event that the GPU records when it gets here."""
    if not (gpu := _gpu()):
        return time.perf_counter()
    event = gpu.Event(enable_timing=True)
    event.record()
    return event


class _Watch(MetaPathFinder, Loader):
    """Import hook that adds the timers when Ultralytics' trainer is imported."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.loader: Any = None

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "ultralytics.engine.trainer":
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _time(module.BaseTrainer, self.clock)


def _time(trainer: Any, clock: Clock) -> None:
    set_up, train = trainer._setup_train, trainer._do_train

    def _setup_train(self: Any) -> None:
        import torch

        set_up(self)
        clock.seconds["start"] = time.perf_counter() - BEGAN
        for name, phase in METHODS.items():
            setattr(self, name, clock.timed(phase, getattr(self, name)))
        self.model.forward = clock.timed("forward and loss", self.model.forward)
        torch.Tensor.backward = clock.timed("backward", torch.Tensor.backward)  # type: ignore[method-assign]
        kind = type(self.train_loader)
        kind.__iter__ = clock.iterated("data", kind.__iter__)
        reports = self.callbacks["on_fit_epoch_end"]
        reports[:] = [clock.timed("logging", report) for report in reports]

    def _do_train(self: Any) -> None:
        train(self)
        del self.model.forward  # the network is pickled afterwards
        if gpu := _gpu():
            gpu.synchronize()
        clock.add_up()
        clock.seconds["trained"] = time.perf_counter() - BEGAN

    trainer._setup_train, trainer._do_train = _setup_train, _do_train


def main() -> None:
    """Run the command of the arguments."""
    place, what = Path(sys.argv[1]), sys.argv[2]
    clock = Clock()
    sys.meta_path.insert(0, _Watch(clock))
    sys.argv = sys.argv[2:]
    try:
        if what == "yolo":
            from ultralytics.cfg import entrypoint

            entrypoint()
        else:
            runpy.run_module(what, run_name="__main__")
    finally:
        known = sum(clock.seconds.values()) - clock.seconds["trained"]
        end = time.perf_counter() - BEGAN
        clock.seconds["rest of the training"] = clock.seconds.pop("trained") - known
        clock.seconds["end"] = end - sum(clock.seconds.values())
        gpu = _gpu()
        peak = gpu.max_memory_reserved() / 1e6 if gpu else 0.0
        place.write_text(json.dumps({"seconds": clock.seconds, "gpu": peak}), "utf-8")


if __name__ == "__main__":
    main()
