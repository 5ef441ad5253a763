"""Set tracking.uri in a params.yaml; all other bytes of the file stay."""

from __future__ import annotations

import json
import os
from pathlib import Path

import yaml

from pipeline.config.tracking_uri import sqlite_file
from pipeline.tracking.target import TrackingTarget


def find_address_for(target: TrackingTarget, folder: Path) -> str | None:
    """Return the tracking.uri by which another folder uses the same store; None if an address cannot say it.

    Args:
        target: Of the project.
        folder: The other project's folder. The path of a database is relative to it where an absolute one has
            characters that an address cannot have.
    """
    if target.database is None:
        return target.uri
    paths = (str(target.database), os.path.relpath(target.database, folder))
    return next((uri for uri in map("sqlite:///{}".format, paths) if sqlite_file(uri)), None)


def set_tracking_address(params: bytes, uri: str) -> bytes:
    """Return a params.yaml with another tracking.uri; unchanged if it has none.

    Args:
        params: Its contents.
        uri: See `find_address_for`.
    """
    text = params.decode()
    scalar = _find_scalar(yaml.compose(text, Loader=yaml.SafeLoader), ("tracking", "uri"))
    if scalar is None or scalar.value == uri:
        return params
    start, end = scalar.start_mark.index, scalar.end_mark.index
    return f"{text[:start]}{json.dumps(uri, ensure_ascii=False, allow_nan=False)}{text[end:]}".encode()


def _find_scalar(node: yaml.Node | None, keys: tuple[str, ...]) -> yaml.ScalarNode | None:
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for name, value in pairs if name.value == key), None)
    return node if isinstance(node, yaml.ScalarNode) else None
