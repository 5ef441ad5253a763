"""Metrics of the server in Prometheus' text format."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import psutil

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; Prometheus' defaults."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Histogram:
    """Counts of durations up to each of BUCKETS."""

    def __init__(self) -> None:
        self.counts, self.total = [0] * (len(BUCKETS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def format(self, name: str) -> Iterator[str]:
        below = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{le="{bound}"}} {below}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {below}"


class ServerMetrics:
    """What happened since the server started. Several threads may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.time()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._events: Counter[str] = Counter()
        self._seconds = {"request": _Histogram(), "batch": _Histogram()}

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; the time counts for those to /predict that were predicted on.

        Args:
            path: One of the server's addresses, or `other`.
            status: Of HTTP; 499 where the client was gone.
            seconds: From the end of its headers to the answer.
        """
        with self._lock:
            self._requests[path, status] += 1
            if path == "/predict" and status == 200:
                self._seconds["request"].observe(seconds)

    def count_batch(self, images: int, seconds: float) -> None:
        """Count a batch that the model predicted on."""
        with self._lock:
            self._events["images"] += images
            self._seconds["batch"].observe(seconds)

    def count_reload(self, *, failed: bool) -> None:
        """Count a model that was loaded anew, or could not be."""
        with self._lock:
            self._events["reload_failures" if failed else "reloads"] += 1

    def format(self, *, waiting: int, active: int, model: Mapping[str, str]) -> str:
        """Return the metrics as text.

        Args:
            waiting: Requests in the queue.
            active: Requests to /predict that are received, waiting or running.
            model: Labels of the model that answers.
        """
        with self._lock:
            lines = [*self._format_counters(), *self._format_times()]
        gauges = {
            "finetrack_waiting_requests": ("Requests in the queue.", waiting),
            "finetrack_active_requests": ("Predictions received, waiting or running.", active),
            "process_resident_memory_bytes": ("Memory of the server.", psutil.Process().memory_info().rss),
            "process_start_time_seconds": ("When the server started.", round(self._started, 3)),
        }
        for name, (text, value) in gauges.items():
            lines += [*_head(name, "gauge", text), f"{name} {value}"]
        labels = ",".join(f'{key}="{_escape(value)}"' for key, value in model.items())
        info = "finetrack_model_info"
        lines += [*_head(info, "gauge", "The model that answers."), f"{info}{{{labels}}} 1"]
        return "\n".join([*lines, ""])

    def _format_counters(self) -> Iterator[str]:
        name = "finetrack_requests_total"
        yield from _head(name, "counter", "Answers by address and status.")
        for (path, status), count in sorted(self._requests.items()):
            yield f'{name}{{path="{path}",status="{status}"}} {count}'
        for event, text in {
            "images": "Images that were predicted on.",
            "reloads": "Models that were loaded since the alias moved.",
            "reload_failures": "Attempts to find or load a new model that failed.",
        }.items():
            yield from _head(f"finetrack_{event}_total", "counter", text)
            yield f"finetrack_{event}_total {self._events[event]}"

    def _format_times(self) -> Iterator[str]:
        for kind, text in {"request": "Time of an answered request.", "batch": "Time of a batch."}.items():
            yield from _head(f"finetrack_{kind}_seconds", "histogram", text)
            yield from self._seconds[kind].format(f"finetrack_{kind}_seconds")


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
