"""Schema of conf/compute: where images are processed, which does not change results."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.config.fields import ConfigGroup

ALLOWED_ADDRESSES = (
    "auto, for the Ray cluster that this machine is a node of, or HOST:PORT of a cluster's head"
)


def _check_address(address: str) -> str:
    if address != "auto" and not re.fullmatch(r"[^\s/@]+:\d{1,5}", address):
        raise ValueError(f"compute.address={address[:80]!r} is not allowed: it must be {ALLOWED_ADDRESSES}")
    return address


class ComputeConfig(ConfigGroup):
    """Threads of this machine, or nodes of a Ray cluster that share its file system."""

    backend: Literal["local", "ray"]
    address: Annotated[str, AfterValidator(_check_address), Field(description=ALLOWED_ADDRESSES)]
