"""Import Ray, and connect to a cluster."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError

_MAX_REASON_LENGTH: Final = 200
"""Characters of Ray's error message that are shown."""
_SETTINGS: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "1",  # Ray's default waits 15 minutes for a cluster that is away
    "RAY_py_gcs_connect_timeout_s": "15",
}
_THIS_MACHINE: Final = {"localhost", "127.0.0.1", "[::1]"}
"""Names that Ray replaces by the machine's address in the network."""


class RayUse(NamedTuple):
    """How messages name what needs Ray.

    Attributes:
        key: The setting that asked for Ray, such as compute=ray.
        address_key: The setting with the address.
        otherwise: The setting that does without.
    """

    key: str = "compute=ray"
    address_key: str = "compute.address"
    otherwise: str = "compute=local"


STAGES_USE: Final = RayUse()
"""`prepare` and `augment` on a cluster."""


def import_ray(use: RayUse = STAGES_USE) -> Any:
    """Import Ray, with its usage statistics off.

    Raises:
        UserError: It is not installed.
    """
    os.environ.update({key: value for key, value in _SETTINGS.items() if key not in os.environ})
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError(
            f"{use.key} needs Ray, which requirements.lock holds: run `make setup`, or set {use.otherwise}"
        ) from None
    return ray


def connect_to_cluster(ray: Any, address: str, use: RayUse = STAGES_USE) -> None:
    """Connect to the cluster as a driver; its processes import this code.

    Raises:
        UserError: There is no such cluster, or it runs another version.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    variables = {"PYTHONPATH": str(Path(__file__).parents[3])}
    try:
        _check_port(address)
        ray.init(address, runtime_env={"env_vars": variables}, log_to_driver=False, configure_logging=False)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:_MAX_REASON_LENGTH]
        raise UserError(
            f"{use.address_key}={address}: no Ray cluster to work with ({reason}): start one "
            "(`.venv/bin/ray start --head`), join it from this machine (`.venv/bin/ray start "
            f"--address=HOST:PORT --num-cpus=0`), or set {use.otherwise}"
        ) from None
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own handler leaves no time to clean up


def _check_port(address: str) -> None:
    """Connect to the port once: Ray itself takes 15 s to find out that nothing listens there.

    Raises:
        OSError: Nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if host and host not in _THIS_MACHINE:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
