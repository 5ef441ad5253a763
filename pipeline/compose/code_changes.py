"""Compare the code of the stages with the digests in compose.lock.json. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.storage.code_digests import PACKAGE_FOLDER, compute_stage_digest


def describe_code_changes(now: Mapping[str, str], lock: Mapping[str, Any]) -> list[str]:
    """List the stages whose code changed since the last compose.

    Args:
        now: The digests.
        lock: The last compose.lock.json.
    """
    before = lock.get("code", now)
    stages = [stage for stage, digest in now.items() if before.get(stage) != digest]
    return [f"code changed: {', '.join(stages)}"] if stages else []


def require_recorded_code(stage: str, lock: Mapping[str, Any], package: Path = PACKAGE_FOLDER) -> None:
    """Require that DVC records the results of a stage under the code that makes them.

    DVC takes the digest of the code from compose.lock.json. That digest is of other code if `compose` was
    left out (`dvc repro --single-item`), or if code was edited while earlier stages ran.

    Args:
        stage: The stage that is about to run.
        lock: The last compose.lock.json; empty if there is none.
        package: The folder of the code.

    Raises:
        UserError: The code differs from the recorded one.
    """
    recorded = lock.get("code", {}).get(stage)
    if recorded is not None and recorded != compute_stage_digest(stage, package):
        raise UserError(
            "the code is not that of compose.lock.json, and DVC would take the results for that one's: "
            f"run `dvc repro`, or for this stage alone `dvc repro --single-item compose {stage}`"
        )
