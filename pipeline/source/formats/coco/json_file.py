"""Parse one JSON file of a COCO dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError


def parse_json_file(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        UserError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): fix or remove it") from None
