"""Compare images/s of Ultralytics' loader and of the GPU loader, in one run.

    python benchmarks/loader.py --device cuda:0 [--images FOLDER] [--imgsz 640] [--batch 64] [--workers 16]

Both have the images decoded in memory and yield batches as a training gets them: floats on the device. FOLDER
is an `images/train` with `labels/train` beside it; without it, images of 640 x 480 are drawn. Both run in
each round, and the ratio is that of one round. docs/decisions/gpu.md has the results.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import torch
import yaml
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader

from pipeline.yolo.gpu_loader.loader import GpuLoader
from pipeline.yolo.training.datasets.object_dataset import build_object_dataset

CONF = Path(__file__).resolve().parent.parent / "conf"
PIXELS = (480, 640)


def main() -> None:
    """Measure, and print a line per round."""
    given = _given()
    device = torch.device(given.device)
    with tempfile.TemporaryDirectory() as scratch:
        enough = max(given.count, given.batch * given.workers)  # else not all processes get a batch
        folder = given.images or _drawn(Path(scratch), enough)
        stock = _stock(folder, given, Path(scratch))
        start = time.perf_counter()
        ours = GpuLoader(stock, device)
        ours.compare_with_cpu()
        _settled(device)
        size = ours.store.words.nbytes / 1e6
        print(
            f"{len(ours.sizes)} images: {size:.0f} MB on {device} after {time.perf_counter() - start:.1f} s; "
            f"beside {stock.num_workers} processes"
        )
        _measure(stock, ours, given, device)
        stock.close()


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=Path)
    for name, value in (("imgsz", 640), ("batch", 16), ("workers", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("rounds", 5), ("batches", 50), ("count", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def _drawn(folder: Path, count: int) -> Path:
    """Draw images of smooth noise with seven objects each, as in COCO."""
    rng = np.random.default_rng(0)
    for part in ("images/train", "labels/train"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        rough = rng.integers(0, 256, (PIXELS[0] // 16, PIXELS[1] // 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"images/train/{number:04d}.jpg"), cv2.resize(rough, PIXELS[::-1]))
        boxes = np.concatenate([rng.uniform(0.2, 0.8, (7, 2)), rng.uniform(0.05, 0.4, (7, 2))], axis=1)
        rows = (f"0 {' '.join(f'{value:.5f}' for value in box)}" for box in boxes.tolist())
        (folder / f"labels/train/{number:04d}.txt").write_text("\n".join(rows))
    return folder / "images/train"


def _stock(folder: Path, given: argparse.Namespace, scratch: Path) -> Any:
    """Build Ultralytics' loader as in a training with the defaults of conf/."""
    native = yaml.safe_load((CONF / "augment/none.yaml").read_text())["online"]
    settings = {
        "imgsz": given.imgsz,
        "cache": "ram",
        "deterministic": False,
        "save_dir": str(scratch / "run"),
    }
    namespace = get_cfg(overrides=native | settings | {"augmentations": []})
    names = dict(enumerate(map(str, range(1000))))
    data = {"names": names, "nc": len(names), "channels": 3, "task": "detect"}
    found = build_object_dataset(
        namespace, [str(folder)], data=data, train=True, batch=given.batch, stride=32
    )
    return build_dataloader(
        found, batch=given.batch, workers=given.workers, shuffle=True, device=torch.device(given.device)
    )


def _endless(loader: Any) -> Iterator[dict[str, Any]]:
    return chain.from_iterable(repeat(loader))


def _measure(stock: Any, ours: GpuLoader, given: argparse.Namespace, device: torch.device) -> None:
    """Time both loaders in turn; the first round is a warm-up.

    Ultralytics' processes prefetch batches while they are not timed, so as many batches are read first.
    """
    ratios = []
    ahead = 4 + (stock.prefetch_factor or 0) * stock.num_workers
    both = [_endless(loader) for loader in (stock, ours)]
    for number in range(given.rounds + 1):
        rates = []
        for batches in both:
            _rate(batches, ahead, device)
            rates.append(_rate(batches, given.batches, device))
        if number:
            ratios.append(rates[1] / rates[0])
            stock_rate, our_rate = (f"{rate:.0f} images/s" for rate in rates)
            print(f"round {number}: stock {stock_rate}, resident {our_rate}, {ratios[-1]:.2f} times")
    print(f"median of {len(ratios)} rounds: {statistics.median(ratios):.2f} times")
    if device.type == "cuda":
        print(f"peak device memory {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB")


def _rate(batches: Iterator[Any], count: int, device: torch.device) -> float:
    start, images = time.perf_counter(), 0
    for batch in islice(batches, count):
        images += len(batch["img"].to(device, non_blocking=True).float() / 255)
    _settled(device)
    return images / (time.perf_counter() - start)


def _settled(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
