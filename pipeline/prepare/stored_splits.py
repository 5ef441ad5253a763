"""Store the split history in files in git, so that images keep their split from one `prepare` to the next.

`prepare` writes the split of each image to reports/splits.json. When the source or conf/data changes,
`compose` copies it to splits.lock.json, which the next `prepare` starts from, and writes its digest to
compose.lock.json, which DVC tracks: the same source, configuration and history give the same split in every
clone. While nothing changes, the history does not change either, and nothing reruns. DVC deletes
reports/splits.json before `prepare` runs, for whatever reason it runs: `compose` keeps a copy in .finetrack,
so that a `prepare` that fails loses nothing. An older experiment that is applied, or a merge, brings files
that lack images of HEAD: the history of HEAD is added, and its test images stay in test.

Standard library only: a `dvc repro` without changes imports this module, and must be fast.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, SPLITS_FILE, SPLITS_LOCK_FILE
from pipeline.core.text import format_count
from pipeline.prepare.splits.history import (
    NO_HISTORY,
    SplitHistory,
    add_history,
    digest_split_inputs,
    find_history,
    parse_histories,
    parse_history,
    render_histories,
    render_history,
)
from pipeline.storage.files import write_file
from pipeline.storage.git_commands import GitError, run_git
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root

_COMMITTED: Final = ("HEAD", "MERGE_HEAD")
"""Revisions whose last split is added; the second one exists during a merge."""


class StoredSplit(NamedTuple):
    """The split history that the next `prepare` starts from.

    Attributes:
        content: The new content of splits.lock.json; None where it does not change.
        entries: Entries for compose.lock.json.
        notes: Notes for the user.
    """

    content: bytes | None
    entries: dict[str, str]
    notes: list[str]


def carry_over_splits(
    data: Mapping[str, Any], source: str, lock: Mapping[str, Any], *, code: str
) -> StoredSplit:
    """Carry over the splits of the last `prepare`, if the source, conf/data or the code has changed.

    Args:
        data: The values of conf/data.
        source: The fingerprint of the source.
        lock: The last compose.lock.json.
        code: The digest of prepare's code.
    """
    _keep_copy()
    inputs = digest_split_inputs(data, source, code)
    if lock.get("divides") == inputs and "earlier" in lock and SPLITS_LOCK_FILE.exists():
        return StoredSplit(None, {"divides": inputs, "earlier": lock["earlier"]}, [])
    here = _read_all_histories()
    histories = _add_committed_histories(here)
    history, note = (NO_HISTORY, "") if data["source"] is None else find_history(histories, data)
    entries = {"divides": inputs, "earlier": _digest_history(history)}
    notes = [note, _describe_committed_test(history, find_history(here, data)[0])]
    return StoredSplit(render_histories(histories).encode(), entries, [each for each in notes if each])


def read_split_history(data: Mapping[str, Any]) -> SplitHistory:
    """Return the split history that `prepare` starts from.

    Args:
        data: The values of conf/data.

    Raises:
        UserError: It is not the one whose digest compose wrote, or the file is damaged.
    """
    if data["source"] is None or not SPLITS_LOCK_FILE.exists():
        return NO_HISTORY
    history, _ = find_history(_read_histories(SPLITS_LOCK_FILE), data)
    if _read_composed_digest() not in {None, _digest_history(history)}:
        raise UserError(
            f"{SPLITS_LOCK_FILE} was changed since compose: run `dvc repro`, which composes first"
        )
    return history


def find_next_history(data: Mapping[str, Any]) -> SplitHistory:
    """Return the split history that the next `compose` would choose for a changed source; write nothing.

    Args:
        data: The values of conf/data.

    Raises:
        UserError: A file is damaged.
    """
    return find_history(_add_committed_histories(_read_all_histories()), data)[0]


def _read_composed_digest() -> str | None:
    if not COMPOSE_LOCK_FILE.exists():
        return None
    digest: str | None = json.loads(COMPOSE_LOCK_FILE.read_text("utf-8")).get("earlier")
    return digest


def _read_all_histories() -> dict[str, SplitHistory]:
    """Return all histories; in one of DVC's temporary copies, the last one may be only in the project."""
    histories = _read_histories(SPLITS_LOCK_FILE) if SPLITS_LOCK_FILE.exists() else {}
    for path in (SPLITS_FILE, project_root() / SPLITS_FILE, _name_copy()):
        if path.exists():
            last = _read_history(path)
            return add_history(histories, last) if last.sides else histories
    return histories


def _add_committed_histories(histories: dict[str, SplitHistory]) -> dict[str, SplitHistory]:
    """Add the last split at HEAD, and at the commit that is being merged; git may know neither.

    Images that the files here know keep their split of these files, unless they are in test at HEAD.
    """
    for revision in _COMMITTED:
        with suppress(GitError, ValueError, KeyError):  # a damaged one was replaced by the file that is here
            last = parse_history(run_git(Path.cwd(), "show", f"{revision}:./{SPLITS_FILE.as_posix()}"))
            if last.sides:
                histories = _add_all(add_history({}, last), histories)
    return histories


def _add_all(earlier: dict[str, SplitHistory], later: Mapping[str, SplitHistory]) -> dict[str, SplitHistory]:
    for each in later.values():
        earlier = add_history(earlier, each)
    return earlier


def _describe_committed_test(history: SplitHistory, here: SplitHistory) -> str:
    """Say how many images are in test because of a commit; empty if the files here have them there, too."""
    in_test = [key for key, side in history.sides.items() if side == "test"]
    number = sum(here.sides.get(key) != "test" for key in in_test)
    if not number:
        return ""
    return (
        f"{SPLITS_FILE} of the last commit has {format_count(number, 'image')} in test that the files here "
        "do not have there: they stay in test; another data.seed splits all images anew"
    )


def _keep_copy() -> None:
    """Copy the last split to .finetrack, unless this is one of DVC's temporary copies of the project."""
    copy = _name_copy()
    if SPLITS_FILE.exists() and Path.cwd().resolve() == project_root():
        content = SPLITS_FILE.read_bytes()
        if not copy.exists() or copy.read_bytes() != content:
            with suppress(ValueError, KeyError):  # a damaged one is refused where it is needed
                parse_history(content.decode())
                write_file(copy, content)


def _name_copy() -> Path:
    return project_root() / SCRATCH_FOLDER / SPLITS_FILE.name


def _read_histories(path: Path) -> dict[str, SplitHistory]:
    try:
        return parse_histories(path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise _damaged_file_error(path, error) from None


def _read_history(path: Path) -> SplitHistory:
    try:
        return parse_history(path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise _damaged_file_error(path, error) from None


def _damaged_file_error(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read ({error}): restore it with `git checkout {path}`, or delete it, and images "
        "may move between train and test"
    )


def _digest_history(history: SplitHistory) -> str:
    return hashlib.sha256(render_history(history).encode()).hexdigest()
