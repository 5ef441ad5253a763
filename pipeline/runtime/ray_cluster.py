"""Work on the nodes of a Ray cluster: the one door to Ray.

The nodes share this machine's file system and its .venv. What travels is names and numbers; images are read,
and written, where the work is done. Each process of a node makes sure of that before it begins.
"""

from __future__ import annotations

import os
import pickle
import platform
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple, TypeVar

from pipeline.core.errors import UserError
from pipeline.runtime.workers import ParallelExecutor, do_all, in_order
from pipeline.storage import files, fingerprint
from pipeline.storage.fingerprint import FileStamp

LIBRARIES: Final = ("numpy", "opencv-python", "pillow", "shapely")
"""That decide about the bytes of a result."""
SHARED: Final = "the nodes must share this project, its .venv and its images, under the same paths"
_LONG: Final = 200
"""Characters of what Ray says, at most."""
PATIENCE: Final = 10.0
"""Seconds in which work that was begun may end, where nobody waits for its outcome any more."""

_SETTINGS: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "1",  # or a cluster that is away is waited for, for a quarter of an hour
    "RAY_py_gcs_connect_timeout_s": "15",
}
_THIS_MACHINE: Final = {"localhost", "127.0.0.1", "[::1]"}
"""For which Ray takes the machine's address in the network."""
_A = TypeVar("_A")
_T = TypeVar("_T")


class NodeRequirements(NamedTuple):
    """What a node must have in common with the machine that deals out.

    Attributes:
        folder: The working directory.
        mark: A file that was just written, and has a name that no other has.
        seen: Some of the files that the work reads, as they are; None for one that is absent.
        libraries: Versions.
    """

    folder: str
    mark: str
    seen: tuple[tuple[str, FileStamp | None], ...]
    libraries: tuple[str, ...]


@contextmanager
def joined(address: str, *, seen: Sequence[Path] = ()) -> Iterator[ParallelExecutor]:
    """Deal work out to a cluster for as long as the block takes.

    Args:
        address: auto, for the cluster that this machine is a node of, or HOST:PORT of its head.
        seen: Some of the files that the work reads.

    Raises:
        Refused: Ray is not installed, the cluster cannot be reached, a node was lost, or it lacks what this
            machine has.
    """
    ray = _ray()
    _connect(ray, address)
    try:
        with NamedTemporaryFile(dir=files.scratch(), prefix="ray-") as mark:
            known = tuple((path, identity(path)) for path in map(os.path.abspath, seen))
            yield _RayCluster(ray, NodeRequirements(str(Path.cwd()), mark.name, known, libraries())).each
    finally:
        ray.shutdown()


def _ray() -> Any:
    os.environ.update({key: value for key, value in _SETTINGS.items() if key not in os.environ})
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError(
            "compute=ray needs Ray, which requirements.lock holds: run `make setup`, or set compute=local"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:
    """Become a driver of the cluster, whose processes find this very code.

    Raises:
        Refused: There is no such cluster, or it is of another version.
    """
    main = threading.current_thread() is threading.main_thread()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    variables = {"PYTHONPATH": str(Path(__file__).parents[2])}
    try:
        _reach(address)
        ray.init(address, runtime_env={"env_vars": variables}, log_to_driver=False, configure_logging=False)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:_LONG]
        raise UserError(
            f"compute.address={address}: no Ray cluster to work with ({reason}): start one "
            "(`.venv/bin/ray start --head`), have this machine join it (`.venv/bin/ray start "
            "--address=HOST:PORT --num-cpus=0`), or set compute=local"
        ) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own would leave no time to clean up


def _reach(address: str) -> None:
    """Knock, since Ray itself takes a quarter of a minute to find nobody in.

    Raises:
        OSError: Nobody is in.
    """
    host, _, port = address.rpartition(":")
    if host and host not in _THIS_MACHINE:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


class _RayCluster(NamedTuple):
    """A cluster that was joined, and what its nodes must have."""

    ray: Any
    home: NodeRequirements

    def each(self, work: Callable[[_A], _T], todo: Iterable[_A], *, total: int, what: str) -> Iterator[_T]:
        """Do the work on the nodes; see `dealing.each`."""
        ray, running = self.ray, set[Any]()
        task, shared = ray.remote(_do), ray.put(ray.cloudpickle.dumps(work))

        def submit(several: Sequence[_A]) -> Callable[[], list[_T]]:
            portion = task.remote(self.home, [shared], ray.cloudpickle.dumps(several))
            running.add(portion)
            return partial(_outcomes, portion, running)

        try:
            yield from in_order(submit, todo, hands=_cpus(ray), total=total, what=what)
        except ray.exceptions.RayError as error:
            raise _told(ray, error) from None
        finally:
            _stop(ray, list(running))


def _outcomes(portion: Any, running: set[Any]) -> list[Any]:
    """Wait for a portion, and let the cluster forget it."""
    data = portion.future().result()  # ray.get makes one KeyboardInterrupt of Ctrl-C and of SIGTERM
    running.remove(portion)
    return list(pickle.loads(data))


def _stop(ray: Any, running: Sequence[Any]) -> None:
    """On Ctrl-C and on an error, what waits is not begun, and nobody goes on writing."""
    if running and ray.is_initialized():
        for portion in running:
            ray.cancel(portion)
        ray.wait(running, num_returns=len(running), timeout=PATIENCE)


def _cpus(ray: Any) -> int:
    """Count the processors of the cluster.

    Raises:
        Refused: It has none.
    """
    found = int(ray.cluster_resources().get("CPU", 0))
    if not found:
        raise UserError(
            "the Ray cluster has no CPUs: add a node with `.venv/bin/ray start --address=HOST:PORT`, or set "
            "compute=local"
        )
    return found


def _told(ray: Any, error: Exception) -> Exception:
    """Return the very error of the work, or a sentence where it was the cluster's."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception) and not isinstance(cause, ray.exceptions.RayError):
        return cause
    why = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    return UserError(
        f"the Ray cluster could not do the work ({why[0]}): {SHARED}; run again, or set compute=local"
    )


def _do(home: NodeRequirements, shared: list[Any], several: bytes) -> bytes:
    """Do a portion, on a node; pickled here, since Ray would hand out arrays that cannot be written to.

    Args:
        home: What the node must have.
        shared: What is done with each, in the cluster's store; in a list, or Ray would fetch it each time.
        several: The portion.
    """
    settle(home)
    return pickle.dumps(do_all(_work(shared[0]), pickle.loads(several)))


@lru_cache(maxsize=1)
def _work(shared: Any) -> Callable[[Any], Any]:
    import ray

    work: Callable[[Any], Any] = pickle.loads(ray.get(shared))
    return work


@lru_cache(maxsize=1)
def settle(home: NodeRequirements) -> None:
    """Make this process one that may do the work.

    Raises:
        Refused: It does not see the same files, or computes with other libraries.
    """
    if found := sorted(set(libraries()) - set(home.libraries)):
        raise UserError(
            f"the Ray node {platform.node()} has {', '.join(found)}, unlike this machine: {SHARED}"
        )
    lacking = [place for place in (home.folder, home.mark) if not Path(place).exists()]
    lacking += [path for path, file in home.seen if identity(path) != file]
    if lacking:
        raise UserError(
            f"the Ray node {platform.node()} does not see {lacking[0]} as this machine does: {SHARED}"
        )
    os.chdir(home.folder)


def libraries() -> tuple[str, ...]:
    """Return the versions of what decides about the bytes of a result."""
    return tuple(f"{name} {_version(name)}" for name in LIBRARIES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def identity(path: str) -> FileStamp | None:
    """Return what tells whether a file is the same; None where there is none."""
    try:
        return fingerprint.identity(path, Path(path).stat())
    except OSError:
        return None
