"""Sample the load of the machine while a stage runs; MLflow shows `system/...` on a separate page."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

SAMPLE_INTERVAL_SECONDS: Final = 10.0


class SystemMetricsSampler:
    """Samples in its own thread with MLflow's monitors, and passes the values to `emit`.

    MLflow's own monitor thread sends to the server directly: it stops at the first outage, and can block the
    end of a training.
    """

    def __init__(
        self, emit: Callable[[dict[str, float]], None], seconds: float = SAMPLE_INTERVAL_SECONDS
    ) -> None:
        self._emit = emit
        self._seconds = seconds
        self._stop = threading.Event()
        self._monitors = _create_monitors()
        self._thread = threading.Thread(target=self._run, name="finetrack-sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take a last sample and stop the thread."""
        self._stop.set()
        self._thread.join(2)

    def _run(self) -> None:
        self._read()  # rates need a first reading to compare with
        last = time.monotonic()
        while not self._stop.wait(self._seconds):
            self._sample()
            last = time.monotonic()
        if time.monotonic() - last > 1:  # rates over less time are not reliable
            self._sample()

    def _sample(self) -> None:
        self._emit({f"system/{name}": value for name, value in self._read().items()})

    def _read(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            with contextlib.suppress(Exception):  # if a sensor fails, only its values are missing
                monitor.collect_metrics()
                values |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        return values


def _create_monitors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with contextlib.suppress(Exception):  # no NVIDIA driver, or no library for it
        monitors.append(GPUMonitor())
    return monitors
