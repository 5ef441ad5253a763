"""Digests of the code of each stage, from the files that pipeline/code.json lists. Standard library only.

DVC tracks a stage's digest in compose.lock.json, as it tracks parameters: one line a stage in dvc.yaml. A
list of files would be most of dvc.yaml and dvc.lock, and reading it most of the time of a `dvc repro` with
nothing to do (docs/performance.md). The key of a training holds the digest of `finetune`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

PACKAGE_FOLDER: Final = Path(__file__).parents[1]
CODE_LIST: Final = "code.json"
"""Lists the files that each stage imports, directly or not; a test compares it with the imports.

A pattern stands for all files that it matches: a new annotation format is found without a new list.
"""


def compute_code_digests(package: Path = PACKAGE_FOLDER) -> dict[str, str]:
    """Compute a digest of the code of each stage; line ends do not count, since git may change them.

    Args:
        package: The folder of the code, with the list in it.

    Raises:
        UserError: A listed file is missing.
    """
    listed = _read_code_list(package)
    files_of_any = {file for files in listed.values() for file in files}
    known = {file: _hash_file(package / file) for file in files_of_any}
    return {stage: _combine_hashes({file: known[file] for file in files}) for stage, files in listed.items()}


def compute_stage_digest(stage: str, package: Path = PACKAGE_FOLDER) -> str:
    """Compute the digest of the code of one stage, as `compute_code_digests` does.

    Raises:
        UserError: A listed file is missing.
    """
    return _combine_hashes({file: _hash_file(package / file) for file in _read_code_list(package)[stage]})


def _read_code_list(package: Path) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = json.loads((package / CODE_LIST).read_text("utf-8"))
    return {stage: [*chain(*(_expand(entry, package) for entry in files))] for stage, files in listed.items()}


def _expand(entry: str, package: Path) -> list[str]:
    """Return the files that an entry with an asterisk matches, sorted; any other entry is one file."""
    if "*" not in entry:
        return [entry]
    return sorted(path.relative_to(package).as_posix() for path in package.glob(entry))


def _hash_file(path: Path) -> str:
    try:
        contents = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: restore it, or run `make deps`") from None
    return hashlib.sha256(contents.replace(b"\r\n", b"\n")).hexdigest()


def _combine_hashes(files: Mapping[str, str]) -> str:
    return hashlib.sha256(
        "".join(f"{sha256} {file}\n" for file, sha256 in files.items()).encode()
    ).hexdigest()
