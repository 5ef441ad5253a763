"""Run each job of a sweep on a node of a Ray cluster (`sweep.launcher=ray`).

Where a node shares the project's disk, the job runs in a workspace on it, and goes on from its checkpoint if
another node has to run it again. Other nodes get code and data by git and DVC remotes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from tempfile import NamedTemporaryFile
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.runtime.ray.actors import LostNodeError, RayActor, RayActors
from pipeline.runtime.ray.connection import RayUse
from pipeline.sweep.job import JobEnded, SweepContext
from pipeline.sweep.launchers.cluster import UNSTARTED, AttemptEnd, WaitForStop
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.workers.job_request import JobRequest, format_request, parse_event
from pipeline.sweep.workers.node_process import GitSource, NodePlace, NodeProcess
from pipeline.sweep.workers.remote_workspace import RemotePublisher

RAY_USE: Final = RayUse("sweep.launcher=ray", "compute.address", "sweep.launcher=local")
CLONE_SECONDS: Final = 3600.0
"""A node may take so long to clone the code."""
OPTIONS: Final = ("num_cpus", "num_gpus", "memory", "resources")
"""Of sweep.ray; `resources` is spelled as in `sweep.ray.resources=tpu:1`."""


class RayCluster:
    """Places jobs on the nodes of a Ray cluster; see `Cluster`."""

    def __init__(
        self, context: SweepContext, settings: SweepSettings, *, address: str, tracking_uri: str
    ) -> None:
        """Connect to the cluster.

        Args:
            context: Of the sweep.
            settings: Of the sweep.
            address: auto, for the cluster that this machine is a node of, or HOST:PORT of its head.
            tracking_uri: Of MLflow.

        Raises:
            UserError: There is no such cluster, it has not what a job takes, or an option is unknown.
        """
        self._context, self._settings, self._tracking_uri = context, settings, tracking_uri
        self._actors = RayActors(address, RAY_USE)
        try:
            self._options = choose_options(settings.ray, self._actors.count_resources())
            self._marker = NamedTemporaryFile(dir=context.folder, prefix="ray-")  # noqa: SIM115 - see close
        except BaseException:
            self._actors.close()
            raise
        self._publisher = SharedPublisher(self._create_publisher)

    @property
    def capacity(self) -> int:
        """How many jobs may run or wait at once: as many as the nodes have room for, or sweep.jobs."""
        if self._settings.jobs != "auto":
            return self._settings.jobs
        return count_places(self._options, self._actors.count_resources())

    def find_host(self) -> str:
        """Return the address at which the nodes reach this machine."""
        return self._actors.find_host()

    def submit(self, request: JobRequest, wait_for_stop: WaitForStop) -> RayAttempt:
        """Place a job on a node, as soon as one has room; Ray takes it at once."""
        del wait_for_stop
        place = NodePlace(str(self._context.project), sys.executable, self._marker.name, {})
        actor = self._actors.place(NodeProcess, tuple(place), options=self._options)
        return RayAttempt(actor, request, self._publisher.get)

    def close(self) -> None:
        """Disconnect."""
        self._actors.close()
        self._marker.close()

    def _create_publisher(self) -> RemotePublisher:
        return RemotePublisher(
            self._context,
            git_remote=self._settings.git_remote,
            dvc_remote=self._settings.dvc_remote,
            tracking_uri=self._tracking_uri,
        )


class SharedPublisher:
    """What serves nodes without the project's disk, one for all jobs: it lets one at a time publish.

    Args:
        create: Creates it.
    """

    def __init__(self, create: Callable[[], RemotePublisher]) -> None:
        self._create = create
        self._lock = threading.Lock()
        self._publisher: RemotePublisher | None = None

    def get(self) -> RemotePublisher:
        """Return it; created when the first such node is met. Each job asks in a thread of its own.

        Raises:
            UserError: The nodes cannot reach a remote, or MLflow's store.
        """
        with self._lock:
            if self._publisher is None:
                self._publisher = self._create()
            return self._publisher


class RayAttempt:
    """A job on a node; see `ClusterAttempt`."""

    def __init__(
        self, actor: RayActor, request: JobRequest, get_publisher: Callable[[], RemotePublisher]
    ) -> None:
        self._actor, self._request, self._get_publisher = actor, request, get_publisher
        self._source: GitSource | None = None
        self._is_placed = False
        self._lines: list[str] = []
        self._end: AttemptEnd | None = None

    def read_lines(self) -> list[str]:
        """Return what the job reported; before its result, its experiment is fetched into the project."""
        lines, self._lines = self._lines, []
        if self._source is not None:
            for event in map(parse_event, lines):
                if isinstance(event, JobEnded) and event.result.status in {"trained", "restored"}:
                    self._get_publisher().collect(self._request.job)
        return lines

    def find_end(self) -> AttemptEnd | None:
        """Ask the node for news; return why the job is over without a result."""
        if self._end is None:
            try:
                self._ask_node()
            except LostNodeError as error:
                self._end = AttemptEnd("killed", f"its node was lost ({error})", again=True)
            except RuntimeError as error:
                if isinstance(error, UserError):
                    raise
                self._end = AttemptEnd("failed", f"its node could not start it: {error}", again=False)
        return self._end

    def was_cancelled(self) -> bool:
        """Return False: Ray cancels no job for others."""
        return False

    def stop(self, *, force: bool) -> None:
        """Ask the job to write its checkpoint and end, or with `force` kill it."""
        if self._is_placed:
            self._actor.send("stop", force)
        else:
            self._end = AttemptEnd("killed", UNSTARTED, again=False)

    def release(self) -> None:
        """End the process on the node."""
        self._actor.kill()

    def _ask_node(self) -> None:
        if not self._is_placed:
            shares_disk = self._actor.try_call("shares_disk")
            if shares_disk is None:
                return
            self._start(shares_disk=shares_disk)
        lines, code = self._actor.call("read_lines")
        self._lines += lines
        if code is not None:
            last = self._actor.call("describe_end")
            reason = f"its process ended with exit code {code}: {last}"
            self._end = AttemptEnd("killed" if code < 0 else "failed", reason, again=code < 0)

    def _start(self, *, shares_disk: bool) -> None:
        self._is_placed = True
        if shares_disk:
            self._actor.call("start", format_request(self._request))
            return
        self._source = self._get_publisher().publish(self._request.job)
        request = format_request(replace(self._request, source=self._source))
        self._actor.call("start_in_clone", request, tuple(self._source), seconds=CLONE_SECONDS)


def choose_options(stated: Mapping[str, Any], resources: Mapping[str, float]) -> dict[str, Any]:
    """Return what each job takes of a node: one GPU where the cluster has some, one CPU otherwise.

    Args:
        stated: sweep.ray.
        resources: What all nodes have together.

    Raises:
        UserError: An option is unknown, or no node has what a job takes.
    """
    unknown = sorted(stated.keys() - set(OPTIONS))
    if unknown:
        raise UserError(f"sweep.ray.{unknown[0]} is no option: there are {', '.join(OPTIONS)}")
    gpus, cpus = resources.get("GPU", 0), resources.get("CPU", 0)
    each = max(1, int(cpus // gpus)) if gpus else 1
    options: dict[str, Any] = {"num_cpus": each, "num_gpus": 1 if gpus else 0, **stated}
    if isinstance(named := options.get("resources"), str):
        pairs = (pair.partition(":") for pair in named.split(","))
        options["resources"] = {name: float(count or 1) for name, _, count in pairs}
    if count_places(options, resources) == 0:
        raise UserError(
            f"no node of the Ray cluster has room for a job that takes {options}: the cluster has "
            f"{cpus:g} CPUs and {gpus:g} GPUs; add a node, or lower sweep.ray.num_cpus and sweep.ray.num_gpus"
        )
    return options


def count_places(options: Mapping[str, Any], resources: Mapping[str, float]) -> int:
    """Count the jobs for which the cluster has room at once.

    Args:
        options: What each job takes.
        resources: What all nodes have together.
    """
    needs = {"CPU": options.get("num_cpus", 0), "GPU": options.get("num_gpus", 0)}
    needs |= {"memory": options.get("memory", 0), **options.get("resources", {})}
    counts = [int(resources.get(name, 0) / float(need) + 1e-9) for name, need in needs.items() if need]
    return min(counts, default=1)
