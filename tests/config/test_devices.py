"""The devices that a setting names."""

from __future__ import annotations

import pytest

from pipeline.config.devices import choose_one_device, list_devices


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (None, []),
        ("cpu", ["cpu"]),
        ("CPU,cpu", ["cpu", "cpu"]),
        (["cpu", "cpu"], ["cpu", "cpu"]),
        ("0,1", ["0", "1"]),
        ("0, 1", ["0", "1"]),
        ([0, 1], ["0", "1"]),
        ((2, 0), ["2", "0"]),
        (0, ["0"]),
        (-1, ["-1"]),
        ("cuda:1", ["1"]),
        ("cuda", ["cuda"]),
        ("mps", ["mps"]),
    ],
)
def test_devices_are_listed(device, expected):
    assert list_devices(device) == expected


def test_one_device_stays_as_it_is_and_of_several_one_is_chosen():
    assert [choose_one_device(device, 1) for device in (None, "cuda:1", 0, [0])] == [None, "cuda:1", 0, [0]]
    assert choose_one_device([0, 3]) == "0"
    assert choose_one_device("0,3", 1) == "3"
