"""Where the machines of a training meet, and what they say of a wrong place."""

from __future__ import annotations

import threading

import pytest

from pipeline.core.errors import UserError
from pipeline.yolo.distributed import node_meeting
from pipeline.yolo.distributed.node_meeting import join_meeting, open_meeting, parse_address
from pipeline.yolo.distributed.train_in_processes import ADDRESS_VARIABLE, require_first_machine


def test_address_is_a_host_and_a_port():
    assert parse_address("gpu-1:29500") == ("gpu-1", 29500)
    assert parse_address("fe80::1:29500") == ("fe80::1", 29500)
    for wrong in ("", "gpu-1", ":29500", "gpu-1:x"):
        with pytest.raises(UserError, match="is not HOST:PORT"):
            parse_address(wrong)


def test_several_machines_need_a_place_before_the_work(monkeypatch):
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    require_first_machine(1)
    with pytest.raises(UserError, match=r"finetune\.nodes=2 needs FINETRACK_FIRST_MACHINE=HOST:PORT"):
        require_first_machine(2)
    monkeypatch.setenv(ADDRESS_VARIABLE, "gpu-1:29500")
    require_first_machine(2)


@pytest.fixture
def meetings(monkeypatch):
    """The meeting of two machines, as each of them has it."""
    monkeypatch.setattr(node_meeting, "_SIGN_SECONDS", 0.0)
    with node_meeting.socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    first = open_meeting(2, address)
    waiting = threading.Thread(target=first.wait_for_others, args=("key",))
    waiting.start()
    second = join_meeting(address, nodes=2, key="key")
    waiting.join()
    return first, second


def test_machines_have_numbers_and_end_together(meetings):
    first, second = meetings
    assert (first.number, second.number, first.nodes, second.nodes) == (0, 1, 2, 2)
    ended = threading.Thread(target=first.__exit__, args=(None, None, None))
    ended.start()
    second.wait_for_end()
    ended.join()


def test_a_machine_that_fails_says_why_to_the_others(meetings):
    first, second = meetings
    first.check()
    second.__exit__(UserError, UserError("the disk is full"), None)
    with pytest.raises(UserError, match="the training ended on machine 1: the disk is full"):
        first.check()


def test_a_machine_without_a_sign_of_life_is_lost(meetings, monkeypatch):
    monkeypatch.setattr(node_meeting, "SILENT_SECONDS", -1.0)
    first, second = meetings
    with pytest.raises(UserError, match="machine 1 of the training is lost or stopped"):
        first.check()
    with pytest.raises(UserError, match="machine 0 of the training is lost or stopped"):
        second.check()


def test_a_machine_too_many_is_refused(meetings):
    first, _ = meetings
    with pytest.raises(UserError, match=r"finetune\.nodes=2 machines are already there"):
        join_meeting(f"{first.host}:{first.port}", nodes=2, key="key")


def test_a_machine_too_many_that_trains_something_else_does_not_end_the_training(meetings):
    first, _ = meetings
    with pytest.raises(UserError, match="the first machine trains something else"):
        join_meeting(f"{first.host}:{first.port}", nodes=2, key="another key")
    first.check()


def test_a_first_machine_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(node_meeting, "MEETING_SECONDS", 0.5)
    with node_meeting.socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UserError, match=f"127.0.0.1:{port} cannot be reached"):
        join_meeting(f"127.0.0.1:{port}", nodes=2, key="key")
