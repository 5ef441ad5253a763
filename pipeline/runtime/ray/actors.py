"""Objects on the nodes of a Ray cluster, each with CPUs and GPUs of its own, called from this process."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.runtime.ray.connection import RayUse, connect_to_cluster, import_ray

UNAVAILABLE_SECONDS: Final = 60.0
"""A node that does not answer for so long is lost."""
RESOURCES_SECONDS: Final = 5.0
"""How often the cluster is asked what its nodes have."""


class LostNodeError(Exception):
    """The node of an object was lost, or its process ended."""


class RayActors:
    """A connection to a cluster, which places objects on its nodes."""

    def __init__(self, address: str, use: RayUse) -> None:
        """Connect.

        Args:
            address: auto, for the cluster that this machine is a node of, or HOST:PORT of its head.
            use: How messages name what needs Ray.

        Raises:
            UserError: Ray is not installed, or the cluster cannot be reached.
        """
        self._ray = import_ray(use)
        connect_to_cluster(self._ray, address, use)
        self._resources: Mapping[str, float] = {}
        self._asked = -RESOURCES_SECONDS

    def count_resources(self) -> Mapping[str, float]:
        """Return what all nodes have together: CPU, GPU, memory in bytes, and more, by name."""
        if time.monotonic() - self._asked > RESOURCES_SECONDS:
            with suppress(self._ray.exceptions.RayError, ConnectionError):  # its head restarts
                self._resources = dict(self._ray.cluster_resources())
            self._asked = time.monotonic()
        return self._resources

    def find_host(self) -> str:
        """Return the address of this machine in the cluster's network."""
        return str(self._ray.util.get_node_ip_address())

    def place(self, kind: type, *arguments: Any, options: Mapping[str, Any]) -> RayActor:
        """Create an object on a node with free resources, or as soon as there is one.

        Args:
            kind: Its class. The module of the class is sent, too: nodes need not have it.
            *arguments: Of the class.
            options: num_cpus, num_gpus, memory, resources.

        Raises:
            UserError: Ray knows no such option or value.
        """
        self._ray.cloudpickle.register_pickle_by_value(sys.modules[kind.__module__])
        try:
            remote = self._ray.remote(max_restarts=0, max_task_retries=0, **options)(kind)
            return RayActor(self._ray, remote.remote(*arguments))
        except (TypeError, ValueError, AssertionError) as error:
            raise UserError(f"Ray takes no job with {dict(options)}: {error}") from None

    def close(self) -> None:
        """Disconnect; Ray ends all objects."""
        self._ray.shutdown()


class RayActor:
    """An object on a node."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._pending: Any = None

    def call(self, method: str, *arguments: Any, seconds: float = UNAVAILABLE_SECONDS) -> Any:
        """Call a method, and wait for its answer.

        Raises:
            LostNodeError: Its node was lost, or does not answer.
            RuntimeError: The method raised; the message is that of its error.
        """
        answer = getattr(self._actor, method).remote(*arguments)
        try:
            return self._ray.get(answer, timeout=seconds)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            raise RuntimeError(_describe(cause)) from None
        except self._ray.exceptions.RayError as error:
            raise LostNodeError(_describe(error)) from None

    def try_call(self, method: str) -> Any:
        """Call a method for the first time; None until the object is on a node, and has answered.

        Raises:
            LostNodeError: Its node was lost.
        """
        if self._pending is None:
            self._pending = getattr(self._actor, method).remote()
        done, _ = self._ray.wait([self._pending], timeout=0)
        if not done:
            return None
        try:
            return self._ray.get(self._pending)
        except self._ray.exceptions.RayError as error:
            raise LostNodeError(_describe(error)) from None

    def send(self, method: str, *arguments: Any) -> None:
        """Call a method, and do not wait."""
        getattr(self._actor, method).remote(*arguments)

    def kill(self) -> None:
        """End the process of the object."""
        self._ray.kill(self._actor, no_restart=True)


def _describe(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
