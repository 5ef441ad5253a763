"""Ingest many images in parallel, on this machine or on a cluster, with the cache of file checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.prepare.images.cache import CheckedImageCache
from pipeline.prepare.images.check import CheckedImage, check_image
from pipeline.prepare.ingest import IngestResult, IngestSettings, ingest_image
from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import ParallelExecutor
from pipeline.source.types import AnnotatedImage


class PendingImage(NamedTuple):
    """An annotated image, and the file that repaired contents are written to."""

    annotated: AnnotatedImage
    staged_file: Path


class RemoteImage(NamedTuple):
    """An image to be checked on another node, and the cached check of its file."""

    pending: PendingImage
    cached: CheckedImage | None


def ingest_locally(
    pending: Iterable[PendingImage],
    settings: IngestSettings,
    cache: CheckedImageCache,
    *,
    execute: ParallelExecutor,
    total: int,
) -> Iterator[IngestResult]:
    """Check images in threads of this machine, which use the cache directly.

    Args:
        pending: The images.
        settings: How they are checked.
        cache: The cache of file checks.
        execute: Runs a function on each image, on this machine.
        total: Number of images.
    """
    progress = Progress("prepare", total, unit="images checked")
    cached_settings = settings._replace(check_file=cache.check_with_cache)
    return execute(partial(_ingest_pending, cached_settings), pending, progress=progress)


def ingest_on_cluster(
    pending: Iterable[PendingImage],
    settings: IngestSettings,
    cache: CheckedImageCache,
    *,
    execute: ParallelExecutor,
    total: int,
) -> Iterator[IngestResult]:
    """Check images on the nodes of a cluster; this process alone reads and writes the cache.

    Args:
        pending: The images.
        settings: How they are checked.
        cache: The cache of file checks.
        execute: Runs a function on each image, on the cluster.
        total: Number of images.
    """
    started = time.time_ns()
    remote = (
        RemoteImage(image, None if image.annotated.load else cache.find(image.annotated.path))
        for image in pending
    )
    progress = Progress("prepare", total, unit="images checked")
    for result, checked in execute(partial(_ingest_remote, settings), remote, progress=progress):
        if checked:
            cache.add(checked, started=started)
        yield result


def _ingest_pending(settings: IngestSettings, pending: PendingImage) -> IngestResult:
    return ingest_image(pending.annotated, settings, staged_file=pending.staged_file)


def _ingest_remote(settings: IngestSettings, remote: RemoteImage) -> tuple[IngestResult, CheckedImage | None]:
    """Ingest an image; also return the new check of its file, where the file is used unchanged."""
    new_checks: list[CheckedImage] = []

    def check_file(path: Path, load: Callable[[bytes], bytes] | None = None) -> CheckedImage:
        if remote.cached:
            return remote.cached
        new_checks.append(check_image(path, load))
        return new_checks[0]

    result = _ingest_pending(settings._replace(check_file=check_file), remote.pending)
    return result, new_checks[0] if new_checks and new_checks[0].original else None
