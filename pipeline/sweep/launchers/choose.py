"""Open the launcher that sweep.launcher names, and the server that its trainings report their epochs to."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from queue import Queue
from typing import Any, Final

from pipeline.runtime.epoch_channel import CHANNEL_VARIABLE
from pipeline.sweep.job import Launcher, SweepContext, SweepEvent, SweepJob
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.workers.epoch_server import EpochServer
from pipeline.tracking.sweep_origin import SWEEP_TAGS_VARIABLE

ALL_ADDRESSES: Final = "0.0.0.0"


def open_launcher(
    resources: ExitStack,
    context: SweepContext,
    settings: SweepSettings,
    *,
    events: Queue[SweepEvent],
    values: Mapping[str, Any],
) -> Launcher:
    """Open the launcher of a sweep.

    Args:
        resources: Closes it, and the server.
        context: Of the sweep.
        settings: Of the sweep.
        events: Gets the events of all jobs.
        values: The configuration of the first point.

    Raises:
        UserError: It cannot run jobs here.
    """
    if settings.launcher == "local":
        return _open_local(resources, context, settings, events=events, device=values["finetune"]["device"])
    from pipeline.sweep.launchers.cluster import Cluster, ClusterLauncher

    cluster: Cluster
    if settings.launcher == "slurm":
        from pipeline.sweep.launchers.slurm import SlurmCluster

        cluster, host = SlurmCluster(context, settings), socket.getfqdn()
    else:
        from pipeline.sweep.launchers.ray import RayCluster

        place = values["compute"].get("address") or "auto"
        ray = RayCluster(context, settings, address=place, tracking_uri=values["tracking"]["uri"])
        cluster, host = ray, ray.find_host()
    server = EpochServer(events, ALL_ADDRESSES, shown=settings.host or host)
    variables = _JobVariables(context.name, server)
    launcher = ClusterLauncher(context, events, cluster, get_variables=variables)
    resources.callback(server.close)
    resources.callback(launcher.close)
    return launcher


def _open_local(
    resources: ExitStack,
    context: SweepContext,
    settings: SweepSettings,
    *,
    events: Queue[SweepEvent],
    device: Any,
) -> Launcher:
    from pipeline.sweep.launchers.local import LocalLauncher

    server = EpochServer(events)
    resources.callback(server.close)
    variables = _JobVariables(context.name, server)
    launcher = LocalLauncher(context, settings, events, device=device, get_variables=variables)
    resources.callback(launcher.close)
    return launcher


class _JobVariables:
    """Environment variables of one job: where it reports its epochs, and the tags of its run."""

    def __init__(self, name: str, server: EpochServer) -> None:
        self._name, self._get_address = name, server.address_for

    def __call__(self, job: SweepJob) -> dict[str, str]:
        tags = {"sweep": self._name, "point": job.point, "repetition": job.repetition}
        return {
            CHANNEL_VARIABLE: self._get_address(job.number),
            SWEEP_TAGS_VARIABLE: json.dumps(tags, allow_nan=False),
        }
