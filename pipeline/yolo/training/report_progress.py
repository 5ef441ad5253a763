"""Report a training: what will run, when it will be done, and one progress line over all epochs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Self

from ultralytics.data import base as image_cache
from ultralytics.data import dataset as classification_cache

from pipeline.core.metric_names import VAL_GROUP, get_main_metric
from pipeline.core.text import format_count
from pipeline.runtime.progress import Progress, format_duration, print_notice

STAGE: Final = "finetune"


class TrainingReporter(AbstractContextManager["TrainingReporter"]):
    """Callbacks of one training that print its plan, its progress and the time when it will be done."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._start = 0.0
        self._first_epoch = 0

    def attach(self, trainer: Any) -> None:
        """Add the callbacks to an Ultralytics trainer."""
        trainer.add_callback("on_train_start", self._begin)
        trainer.add_callback("on_train_batch_end", self._count_batch)
        trainer.add_callback("on_fit_epoch_end", self._end_epoch)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._progress is not None:
            self._progress.__exit__(kind, error, trace)

    def __enter__(self) -> Self:
        return self

    def _begin(self, trainer: Any) -> None:
        print_notice(f"{STAGE}: {describe_plan(trainer)}")
        batches = len(trainer.train_loader)
        total = None if trainer.args.time else batches * trainer.epochs
        done = batches * trainer.start_epoch
        self._start, self._first_epoch = time.monotonic(), trainer.start_epoch
        self._progress = Progress(STAGE, total, unit="batches", done=done)

    def _count_batch(self, trainer: Any) -> None:
        if self._progress is not None:
            self._progress.update(note="" if trainer.rows else f"epoch {trainer.epoch + 1}")

    def _end_epoch(self, trainer: Any) -> None:
        epoch = trainer.epoch + 1
        if epoch == self._first_epoch + 1 and epoch < trainer.epochs:
            print_notice(f"{STAGE}: {describe_end(trainer, time.monotonic() - self._start)}")
        if self._progress is not None:
            self._progress.update(0, note=_describe_epoch(trainer, epoch))


class CacheProgress:
    """Stands in for Ultralytics' progress bar while images are cached, with this project's progress line."""

    def __init__(self, iterable: Iterable[Any], total: int, desc: str = "", disable: bool = False) -> None:
        del disable  # Ultralytics sets it explicitly, whatever its log level is
        self.desc = desc
        self._iterable, self._progress = iterable, Progress(STAGE, total, unit="images cached")

    def __iter__(self) -> Iterator[Any]:
        return self._progress.track(self._iterable)

    def close(self) -> None:
        """End the line."""
        self._progress.close()


@contextmanager
def report_caching() -> Iterator[None]:
    """Report the caching of images by `CacheProgress` instead of Ultralytics' bar."""
    bar = image_cache.TQDM
    image_cache.TQDM = classification_cache.TQDM = CacheProgress
    try:
        yield
    finally:
        image_cache.TQDM = classification_cache.TQDM = bar


def describe_plan(trainer: Any) -> str:
    """Return what a training is about to do: images, epochs, image size, batch size, device."""
    train, val = len(trainer.train_loader.dataset), len(trainer.test_loader.dataset)
    images = f"training on {format_count(train, 'image')}, validating on {val}"
    done = f", from epoch {trainer.start_epoch + 1}" if trainer.start_epoch else ""
    length = (
        f"{trainer.args.time:g} h" if trainer.args.time else format_count(trainer.epochs, "epoch", "epochs")
    )
    sizes = f"imgsz {trainer.args.imgsz}, batch {trainer.batch_size}"
    count = getattr(trainer, "world_size", 1)
    processes = f", in {count} processes" if count > 1 else ""
    return f"{images}, for {length}{done}, at {sizes}, on {trainer.device}{processes}"


def describe_end(trainer: Any, seconds: float) -> str:
    """Return when a training will be done.

    Args:
        trainer: After its first epoch of this session.
        seconds: Duration of that epoch.
    """
    left = seconds * (trainer.epochs - trainer.epoch - 1)
    if trainer.args.time:
        left = max(0.0, 3600 * trainer.args.time - trainer.rows[-1]["seconds"])
    clock = time.strftime("%H:%M" if left < 12 * 3600 else "%A %H:%M", time.localtime(time.time() + left))
    which = f"epoch {trainer.epoch + 1}" if trainer.epoch else "the first epoch"
    took = f"{which} took {format_duration(seconds)}"
    stop = " or earlier" if 0 < trainer.args.patience < trainer.epochs else ""
    return f"{took}; done in about {format_duration(left)}, at {clock}{stop}"


def _describe_epoch(trainer: Any, epoch: int) -> str:
    name = get_main_metric(trainer.job.task)
    value = trainer.rows[-1].get(f"{VAL_GROUP}/{name}")
    of = "" if trainer.args.time else f" of {trainer.epochs}"
    return f"epoch {epoch}{of}" + (f", val {name} {value:.3f}" if value is not None else "")
