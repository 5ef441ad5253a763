"""The code that each stage runs, by digest: DVC tracks it in compose.lock.json, as it tracks parameters.

One line a stage in dvc.yaml, where a list of files would be most of dvc.yaml and dvc.lock, and reading those
most of the time of a `dvc repro` with nothing to do (docs/performance.md). Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError

PACKAGE: Final = Path(__file__).parents[1]
LISTED: Final = "code.json"
"""Lists the files that each stage imports, directly or not; a test holds it to the imports."""


def digests(package: Path = PACKAGE) -> dict[str, str]:
    """Return a digest of the code of each stage; line ends do not count, since git may change them.

    Args:
        package: The folder of the code, with the list in it.

    Raises:
        Refused: A file is listed that is not there.
    """
    listed: dict[str, list[str]] = json.loads((package / LISTED).read_text("utf-8"))
    files_of_any = {file for files in listed.values() for file in files}
    known = {file: _digest(package / file) for file in files_of_any}
    return {stage: _of({file: known[file] for file in files}) for stage, files in listed.items()}


def changed(now: Mapping[str, str], lock: Mapping[str, Any]) -> list[str]:
    """Say which stages have other code than at the last compose.

    Args:
        now: The digests.
        lock: The last compose.lock.json.
    """
    before = lock.get("code", now)
    stages = [stage for stage, digest in now.items() if before.get(stage) != digest]
    return [f"code changed: {', '.join(stages)}"] if stages else []


def refuse_other(stage: str, lock: Mapping[str, Any], package: Path = PACKAGE) -> None:
    """See to it that the results of a stage that DVC runs are recorded under the code that makes them.

    DVC takes the digest from compose.lock.json. It is another's where `compose` was left out
    (`dvc repro --single-item`), and where code was edited while the stages before ran.

    Args:
        stage: That is about to run.
        lock: The last compose.lock.json; empty where there is none.
        package: The folder of the code.

    Raises:
        Refused: The code is another.
    """
    recorded = lock.get("code", {}).get(stage)
    if recorded is not None and recorded != digests(package)[stage]:
        raise UserError(
            "the code is not that of compose.lock.json, and DVC would take the results for that one's: "
            f"run `dvc repro`, or for this stage alone `dvc repro --single-item compose {stage}`"
        )


def _digest(path: Path) -> str:
    try:
        contents = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: restore it, or run `make deps`") from None
    return hashlib.sha256(contents.replace(b"\r\n", b"\n")).hexdigest()


def _of(files: Mapping[str, str]) -> str:
    return hashlib.sha256(
        "".join(f"{sha256} {file}\n" for file, sha256 in files.items()).encode()
    ).hexdigest()
