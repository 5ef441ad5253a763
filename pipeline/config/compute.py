"""Schema of conf/compute: where the work on single images is done, which changes no result."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.config.fields import ConfigGroup

CLUSTER = "auto, for the Ray cluster that this machine is a node of, or HOST:PORT of a cluster's head"


def _check(address: str) -> str:
    if address != "auto" and not re.fullmatch(r"[^\s/@]+:\d{1,5}", address):
        raise ValueError(f"compute.address={address[:80]!r} is not allowed: it must be {CLUSTER}")
    return address


class ComputeConfig(ConfigGroup):
    """Threads of this machine, or the nodes of a Ray cluster, which share its file system."""

    backend: Literal["local", "ray"]
    address: Annotated[str, AfterValidator(_check), Field(description=CLUSTER)]
