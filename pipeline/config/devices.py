"""The devices that `finetune.device` names: one, or one for each process of a training."""

from __future__ import annotations

from typing import Any


def list_devices(device: Any) -> list[str]:
    """List the devices that a setting names.

    Args:
        device: Text such as cpu, mps, cuda:0, 0 or 0,1; a number; a list of them; or None.

    Returns:
        cpu, mps, cuda, or the index of a GPU, for each; empty for None.
    """
    parts = device if isinstance(device, list | tuple) else str("" if device is None else device).split(",")
    return [name for part in parts if (name := str(part).strip().lower().removeprefix("cuda:"))]


def list_device_kinds(device: Any) -> list[str]:
    """List the devices that a setting names as kinds, which are the same on any machine.

    Args:
        device: See `list_devices`.

    Returns:
        cpu, mps or gpu, for each; empty for None.
    """
    return [name if name in {"cpu", "mps"} else "gpu" for name in list_devices(device)]


def choose_one_device(device: Any, place: int = 0) -> Any:
    """Return one of several devices, as Ultralytics takes it; a setting that names one is returned as it is.

    Args:
        device: See `list_devices`.
        place: Which one, from 0.
    """
    names = list_devices(device)
    return names[place] if len(names) > 1 else device
