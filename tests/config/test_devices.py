"""The devices that a setting names."""

from __future__ import annotations

import pytest

from pipeline.config.devices import choose_one_device, list_device_kinds, list_devices


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


@pytest.mark.parametrize(
    ("devices", "kinds"),
    [
        ((0, 1, -1, "0", "cuda", "cuda:3", [2]), ["gpu"]),
        (["0,1", "3,1"], ["gpu", "gpu"]),
        (("cpu", ["cpu"]), ["cpu"]),
        (("cpu,cpu", ["cpu", "cpu"]), ["cpu", "cpu"]),
        (("mps",), ["mps"]),
        ((None,), []),
    ],
)
def test_kinds_of_devices_have_no_numbers(devices, kinds):
    assert [list_device_kinds(device) for device in devices] == [kinds] * len(devices)


def test_one_device_stays_as_it_is_and_of_several_one_is_chosen():
    assert [choose_one_device(device, 1) for device in (None, "cuda:1", 0, [0])] == [None, "cuda:1", 0, [0]]
    assert choose_one_device([0, 3]) == "0"
    assert choose_one_device("0,3", 1) == "3"
