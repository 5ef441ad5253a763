"""The place of a process among those of a training, and variables of other process groups."""

from __future__ import annotations

import os

import pytest

from pipeline.yolo.distributed.group_member import (
    CHANNEL_VARIABLE,
    GroupMember,
    build_variables,
    forget_foreign_group,
    read_member,
)

FOREIGN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}


@pytest.fixture
def foreign_group(monkeypatch):
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("foreign_group")
def test_variables_of_another_launcher_are_not_believed():
    """Ultralytics would multiply the loss of a training that is alone by zero."""
    assert read_member() == GroupMember()
    forget_foreign_group()
    assert not FOREIGN.keys() & os.environ.keys()


@pytest.mark.usefixtures("foreign_group")
def test_own_variables_stay_and_are_read(monkeypatch):
    member = GroupMember(rank=5, local_rank=1, size=6, local_size=2)
    for name, value in build_variables(member).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(CHANNEL_VARIABLE, "3")
    forget_foreign_group()
    assert read_member() == member
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == ("5", "6")
