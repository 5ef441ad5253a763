"""The machine's load, sampled while a stage runs; MLflow shows `system/...` on a page of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

SECONDS = 10.0


class SystemMetricsSampler:
    """Samples in a thread of its own with MLflow's monitors, and hands the values on.

    MLflow's own monitor thread speaks to the server directly: it gives up at the first outage, and its end
    can block a training's.
    """

    def __init__(self, emit: Callable[[dict[str, float]], None], seconds: float = SECONDS) -> None:
        self._emit = emit
        self._seconds = seconds
        self._stop = threading.Event()
        self._monitors = _monitors()
        self._thread = threading.Thread(target=self._run, name="finetrack-sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take a last sample and end."""
        self._stop.set()
        self._thread.join(2)

    def _run(self) -> None:
        self._read()  # the first reading of a rate, by this thread, has nothing to compare with
        begin = time.monotonic()
        while not self._stop.wait(self._seconds):
            self._sample()
            begin = time.monotonic()
        if time.monotonic() - begin > 1:  # a rate over less says nothing
            self._sample()

    def _sample(self) -> None:
        self._emit({f"system/{name}": value for name, value in self._read().items()})

    def _read(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            with contextlib.suppress(Exception):  # a sensor that fails costs its values, nothing else
                monitor.collect_metrics()
                values |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return values


def _monitors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with contextlib.suppress(Exception):  # no NVIDIA driver, or no library to ask it
        monitors.append(GPUMonitor())
    return monitors
