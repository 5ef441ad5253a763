"""Train one model in several processes, one per device, and watch them.

This process trains nothing itself, so that it outlives every process that does: whichever of them dies, the
run ends as FAILED. It holds no weights on a GPU, and what it logs is what the first process reports.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from pipeline.config.devices import list_devices
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.runtime.progress import print_notice
from pipeline.yolo.distributed.group_member import GroupMember
from pipeline.yolo.distributed.node_meeting import NodeMeeting, join_meeting, open_meeting, parse_address
from pipeline.yolo.distributed.rank_processes import RankProcesses
from pipeline.yolo.job import MetricsRow, TrainingJob

ADDRESS_VARIABLE: Final = "FINETRACK_FIRST_MACHINE"
"""HOST:PORT of the first machine, where finetune.nodes is more than 1."""


def require_first_machine(nodes: int) -> None:
    """Check that a training on several machines knows where they meet.

    Args:
        nodes: finetune.nodes.

    Raises:
        UserError: FINETRACK_FIRST_MACHINE is not set, or is no HOST:PORT.
    """
    address = os.environ.get(ADDRESS_VARIABLE)
    if nodes > 1 and not address:
        raise UserError(
            f"finetune.nodes={nodes} needs {ADDRESS_VARIABLE}=HOST:PORT in the environment: the name and a "
            "free port of this machine, that the other machines reach"
        )
    if nodes > 1:
        parse_address(str(address))


def train_in_processes(
    job: TrainingJob,
    *,
    on_start: Callable[[dict[str, Any]], None],
    on_epoch: Callable[[MetricsRow], bool | None],
) -> None:
    """Train on several devices, until the last epoch or until `on_epoch` ends it; the checkpoints say which.

    Args:
        job: The training, whose `arguments` name several devices.
        on_start: Called with the settings in use after the first epoch of this session.
        on_epoch: Called with the figures of each epoch once its checkpoint is on the disk. True ends the
            training.

    Raises:
        UserError: A process failed, was killed, or gives no sign of life. No process is left.
    """
    with open_meeting(job.nodes, os.environ.get(ADDRESS_VARIABLE)) as meeting:
        meeting.wait_for_others(job.key)
        _train(job, meeting, on_start=on_start, on_epoch=on_epoch)


def help_to_train(job: TrainingJob, address: str) -> None:
    """Train on the devices of this machine for a training that another machine has started.

    Args:
        job: The same training; its folder is this machine's own.
        address: HOST:PORT of the other machine.

    Raises:
        UserError: The training failed on any machine, or is another one.
    """
    with join_meeting(address, nodes=job.nodes, key=job.key) as meeting:
        _train(job, meeting, on_start=lambda _: None, on_epoch=lambda _: None)
        meeting.wait_for_end()


def _train(
    job: TrainingJob,
    meeting: NodeMeeting,
    *,
    on_start: Callable[[dict[str, Any]], None],
    on_epoch: Callable[[MetricsRow], bool | None],
) -> None:
    devices = list_devices(job.arguments["device"]) or ["the default device"]
    count = len(devices)
    members = [
        GroupMember(meeting.number * count + place, place, meeting.nodes * count, count)
        for place in range(count)
    ]
    others = f", of {members[0].size} on {meeting.nodes} machines" if meeting.nodes > 1 else ""
    print_notice(f"finetune: {format_count(count, 'process', 'processes')}{others}, on {', '.join(devices)}")
    with RankProcesses(members, devices, meeting=meeting, folder=job.folder) as ranks:
        ranks.send_job(job)
        for rank, message in ranks.read_messages():
            if message["kind"] == "start":
                on_start(message["effective"])
            elif message["kind"] == "epoch":
                rank.answer_epoch(ends=bool(on_epoch(message["row"])))
            elif message["kind"] == "pruned":
                return
