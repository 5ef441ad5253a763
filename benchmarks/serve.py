"""Compare the throughput of `finetrack serve` with that of bare Ultralytics, on the same images and weights.

    python benchmarks/serve.py FOLDER --weights yolov8n.pt [--imgsz 320] [--clients 1 4 16] [--rounds 3]

Bare: `YOLO.predict` on all files in this process, in batches of one (as `yolo predict` does), with decoding.
Served: clients send the bytes of the files over HTTP, each one the next when it has its answer; the server is
a process of its own, and the clients are threads of this one. Both take turns in each round. The ratios are
medians over rounds: images in a second, and CPU time of an image (of the server alone, in the second case).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


class Speed(NamedTuple):
    """Images in a second, and CPU milliseconds of an image."""

    rate: float
    cpu: float


class Bare:
    """Ultralytics as it comes."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch
        from ultralytics import YOLO

        import pipeline.yolo  # noqa: F401 - no requests over the network

        torch.set_num_threads(options.threads)
        self._model, self._options, self._torch = YOLO(options.weights), options, torch

    def measure(self, files: Sequence[Path]) -> Speed:
        """Predict on the files once."""
        how = {"imgsz": self._options.imgsz, "conf": 0.25, "device": "cpu", "verbose": False, "stream": True}
        self._torch.set_num_threads(self._options.threads)
        start, used = time.perf_counter(), time.process_time()
        for _ in self._model.predict([str(file) for file in files], batch=1, **how):
            pass
        seconds, used = time.perf_counter() - start, time.process_time() - used
        return Speed(len(files) / seconds, 1000 * used / len(files))


class Served:
    """A server, and clients of it."""

    def __init__(self, options: argparse.Namespace, log: Path) -> None:
        import psutil

        words = ["serve", "--model", str(Path(options.weights).resolve()), "--port=0", "--conf=0.25"]
        words += [f"--imgsz={options.imgsz}", f"--threads={options.threads}", "--device=cpu"]
        with log.open("wb") as output:
            command = [sys.executable, "-m", "pipeline", *words]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        while not (match := re.search(r"answers at http://\S+:(\d+)/", log.read_text())):
            if self.process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        self._port, self._usage = int(match[1]), psutil.Process(self.process.pid)

    def measure(self, bodies: Sequence[bytes], clients: int) -> Speed:
        """Send each file once, by so many clients at once."""
        waiting, lock = iter(bodies), threading.Lock()

        def work(_client: int) -> None:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=120)
            while True:
                with lock:
                    body = next(waiting, None)
                if body is None:
                    return
                connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
                response = connection.getresponse()
                if response.status != 200:
                    sys.exit(response.read().decode())
                response.read()

        start, used = time.perf_counter(), sum(self._usage.cpu_times()[:2])
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(work, range(clients)))
        seconds, used = time.perf_counter() - start, sum(self._usage.cpu_times()[:2]) - used
        return Speed(len(bodies) / seconds, 1000 * used / len(bodies))


def main() -> None:
    """Measure, and print a table."""
    options = parse_arguments()
    files = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    files = (files * options.images)[: options.images]
    bodies = [file.read_bytes() for file in files]
    with tempfile.TemporaryDirectory() as folder:
        bare, served = Bare(options), Served(options, Path(folder) / "log")
        try:
            bare.measure(files[:5])
            served.measure(bodies[:5], 1)
            rounds = [
                measure_round(bare, served, files, bodies, options.clients) for _ in range(options.rounds)
            ]
        finally:
            served.process.terminate()
            served.process.wait()
    print_table(rounds, options.clients)


def measure_round(
    bare: Bare, served: Served, files: Sequence[Path], bodies: Sequence[bytes], clients: Sequence[int]
) -> tuple[Speed, list[Speed]]:
    """Measure both once."""
    return bare.measure(files), [served.measure(bodies, count) for count in clients]


def print_table(rounds: Sequence[tuple[Speed, list[Speed]]], clients: Sequence[int]) -> None:
    """Print medians: of the bare prediction, and of the server beside it."""
    alone = [bare for bare, _ in rounds]
    print(f"load average {os.getloadavg()[0]:.1f}, {len(rounds)} rounds")
    print(
        "| | images/s | CPU ms per image | throughput beside bare | CPU beside bare |\n|---|---|---|---|---|"
    )
    print(f"| bare | {middle([s.rate for s in alone]):.1f} | {middle([s.cpu for s in alone]):.1f} | 1 | 1 |")
    for place, count in enumerate(clients):
        own = [speeds[place] for _, speeds in rounds]
        rate = middle([one.rate / bare.rate for one, bare in zip(own, alone, strict=True)])
        cpu = middle([one.cpu / bare.cpu for one, bare in zip(own, alone, strict=True)])
        speed = f"{middle([s.rate for s in own]):.1f} | {middle([s.cpu for s in own]):.1f}"
        print(f"| served, {count} clients | {speed} | {rate:.2f} | {cpu:.2f} |")


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
