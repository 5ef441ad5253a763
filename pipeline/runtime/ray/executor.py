"""Run work on the nodes of a Ray cluster.

The nodes share this machine's file system and its .venv. Only names and numbers are sent; each node reads and
writes the images itself. Each process of a node checks that it sees the same files before it starts.
"""

from __future__ import annotations

import os
import pickle
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple, TypeVar

from pipeline.core.errors import UserError
from pipeline.runtime.progress import Progress
from pipeline.runtime.ray.connection import connect_to_cluster, import_ray
from pipeline.runtime.thread_pool import ParallelExecutor, map_in_order, run_batch
from pipeline.storage.fingerprint import FileStamp, build_file_stamp
from pipeline.storage.scratch_folder import create_scratch_folder

RESULT_LIBRARIES: Final = ("numpy", "opencv-python", "pillow", "shapely")
"""Packages whose versions decide about the bytes of a result."""
SHARED_FILES_HINT: Final = "the nodes must share this project, its .venv and its images, under the same paths"
CANCEL_TIMEOUT_SECONDS: Final = 10.0
"""Seconds that cancelled work has to end."""

_A = TypeVar("_A")
_T = TypeVar("_T")


class NodeRequirements(NamedTuple):
    """What a node must have in common with the machine that sends the work.

    Attributes:
        folder: The working directory.
        marker: A file with a unique name that was just written.
        samples: Paths and stamps of some files that the work reads; None for a file that does not exist.
        libraries: Names and versions of packages.
    """

    folder: str
    marker: str
    samples: tuple[tuple[str, FileStamp | None], ...]
    libraries: tuple[str, ...]


@contextmanager
def open_cluster_executor(address: str, *, samples: Sequence[Path] = ()) -> Iterator[ParallelExecutor]:
    """Connect to a Ray cluster and yield an executor that runs work there.

    Args:
        address: auto, for the cluster that this machine is a node of, or HOST:PORT of its head.
        samples: Some of the files that the work reads.

    Raises:
        UserError: Ray is not installed, the cluster cannot be reached, a node was lost, or a node does not
            have the same files and packages as this machine.
    """
    ray = import_ray()
    connect_to_cluster(ray, address)
    try:
        with NamedTemporaryFile(dir=create_scratch_folder(), prefix="ray-") as marker:
            stamps = tuple((path, read_file_stamp(path)) for path in map(os.path.abspath, samples))
            required = NodeRequirements(str(Path.cwd()), marker.name, stamps, list_library_versions())
            yield _RayCluster(ray, required).map_on_nodes
    finally:
        ray.shutdown()


class _RayCluster(NamedTuple):
    """A connected cluster, and what its nodes must have."""

    ray: Any
    required: NodeRequirements

    def map_on_nodes(
        self, work: Callable[[_A], _T], items: Iterable[_A], *, progress: Progress
    ) -> Iterator[_T]:
        """Call `work` on each item on the nodes; see `ParallelExecutor`."""
        ray, running = self.ray, set[Any]()
        task, shared = ray.remote(_run_on_node), ray.put(ray.cloudpickle.dumps(work))

        def submit(batch: Sequence[_A]) -> Callable[[], list[_T]]:
            future = task.remote(self.required, [shared], ray.cloudpickle.dumps(batch))
            running.add(future)
            return partial(_wait_for_results, future, running)

        try:
            yield from map_in_order(submit, items, workers=_count_cpus(ray), progress=progress)
        except ray.exceptions.RayError as error:
            raise _convert_error(ray, error) from None
        finally:
            _cancel(ray, list(running))


def _wait_for_results(future: Any, running: set[Any]) -> list[Any]:
    """Wait for a batch, and let the cluster free its results."""
    data = future.future().result()  # ray.get turns both Ctrl-C and SIGTERM into KeyboardInterrupt
    running.remove(future)
    return list(pickle.loads(data))


def _cancel(ray: Any, running: Sequence[Any]) -> None:
    """After Ctrl-C or an error: cancel waiting batches, and wait until the running ones stop writing."""
    if running and ray.is_initialized():
        for future in running:
            ray.cancel(future)
        ray.wait(running, num_returns=len(running), timeout=CANCEL_TIMEOUT_SECONDS)


def _count_cpus(ray: Any) -> int:
    """Count the CPUs of the cluster.

    Raises:
        UserError: It has none.
    """
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if not cpus:
        raise UserError(
            "the Ray cluster has no CPUs: add a node with `.venv/bin/ray start --address=HOST:PORT`, or set "
            "compute=local"
        )
    return cpus


def _convert_error(ray: Any, error: Exception) -> Exception:
    """Return the error that the work raised, or a UserError where the cluster failed."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception) and not isinstance(cause, ray.exceptions.RayError):
        return cause
    last_lines = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    return UserError(
        f"the Ray cluster could not do the work ({last_lines[0]}): {SHARED_FILES_HINT}; run again, or set "
        "compute=local"
    )


def _run_on_node(required: NodeRequirements, shared: list[Any], batch: bytes) -> bytes:
    """Run a batch on a node. It is pickled here, since arrays that Ray passes on are read-only.

    Args:
        required: What the node must have.
        shared: A reference to the function, in a list: Ray would fetch it for each call otherwise.
        batch: The items, pickled.
    """
    set_up_node(required)
    return pickle.dumps(run_batch(_load_work(shared[0]), pickle.loads(batch)))


@lru_cache(maxsize=1)
def _load_work(shared: Any) -> Callable[[Any], Any]:
    import ray

    work: Callable[[Any], Any] = pickle.loads(ray.get(shared))
    return work


@lru_cache(maxsize=1)
def set_up_node(required: NodeRequirements) -> None:
    """Check this process of a node, and change to the project's folder.

    Raises:
        UserError: It does not see the same files, or has other versions of the packages.
    """
    node = f"the Ray node {platform.node()}"
    if others := sorted(set(list_library_versions()) - set(required.libraries)):
        raise UserError(f"{node} has {', '.join(others)}, unlike this machine: {SHARED_FILES_HINT}")
    missing = [place for place in (required.folder, required.marker) if not Path(place).exists()]
    missing += [path for path, stamp in required.samples if read_file_stamp(path) != stamp]
    if missing:
        raise UserError(f"{node} does not see {missing[0]} as this machine does: {SHARED_FILES_HINT}")
    os.chdir(required.folder)


def list_library_versions() -> tuple[str, ...]:
    """Return names and versions of the packages that decide about the bytes of a result."""
    return tuple(f"{name} {_version(name)}" for name in RESULT_LIBRARIES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def read_file_stamp(path: str) -> FileStamp | None:
    """Return what shows whether a file has changed; None where there is no file."""
    try:
        return build_file_stamp(path, Path(path).stat())
    except OSError:
        return None
