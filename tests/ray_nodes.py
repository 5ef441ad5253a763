"""Two Ray nodes on this machine, at 127.0.0.2 and 127.0.0.3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

HOSTS = ("127.0.0.2", "127.0.0.3")


class RayNodes(NamedTuple):
    """A running cluster.

    Attributes:
        address: Of its head, the first host.
        nodes: By host.
        cluster: Of ray.cluster_utils.
    """

    address: str
    nodes: dict[str, Any]
    cluster: Any


@contextmanager
def start_ray_nodes(folder: Path, **options: Any) -> Iterator[RayNodes]:
    """Start two nodes of one core each; check at the end that no process of them is left.

    Args:
        folder: For their files; its path may be too long for sockets, so that they see it under a short one.
        **options: Of each node.
    """
    handle = os.open(folder, os.O_DIRECTORY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", f"/proc/{os.getpid()}/fd/{handle}")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        from ray.cluster_utils import Cluster

        both = Cluster()
        small = {"object_store_memory": 80 << 20, "plasma_directory": str(folder)}
        bare = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        settings = {"num_cpus": 1, **small, **bare, **options}
        nodes = {host: both.add_node(node_ip_address=host, **settings) for host in HOSTS}
        yield RayNodes(both.address, nodes, both)
        both.shutdown()
    os.close(handle)
    left = [
        child for child in psutil.Process().children(recursive=True) if "ray" in " ".join(child.cmdline())
    ]
    assert psutil.wait_procs(left, timeout=10)[1] == []
