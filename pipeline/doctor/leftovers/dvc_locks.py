"""Find what a killed DVC left in its rwlock, and its lock under core.hardlink_lock.

DVC's own lock (.dvc/tmp/lock) is a flock, which ends with its process. While a stage runs, DVC releases it,
and the rwlock names the process that reads or writes each path. DVC ignores entries of processes that do not
exist any more. Two things stop it: a file that is cut off, and an entry whose number another process has now.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.file_locks import hold_free_lock, is_on_network_disk, require_free_locks
from pipeline.doctor.leftovers.project_processes import is_dvc
from pipeline.storage.files import write_file

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

RWLOCKS: Final = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))
HARDLINK_LOCK: Final = Path(".dvc/tmp/lock")
_MODES: Final = ("read", "write")


class RwlockEntries(NamedTuple):
    """Entries of a rwlock.

    Attributes:
        kept: Those of processes that may hold them, in the form of the file.
        stale: Process ids of those that nobody holds.
        blocking: Those of them whose number another process has now: DVC takes that for the owner.
    """

    kept: dict[str, Any]
    stale: set[int]
    blocking: set[int]


def check_rwlock(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find entries of processes that have ended, and files that are cut off."""
    for name in RWLOCKS:
        path = project.root / name
        if not path.is_file():
            continue
        repair = None if is_on_network_disk(path) else partial(_mend, project, path)
        try:
            entries = _read_settled(path)
        except ValueError:
            seen = f"{name} was cut off when DVC was killed: every dvc command fails"
            yield CheckFinding("fault", seen, f"delete {name} while no dvc runs", repair)
            continue
        if entries.blocking:
            pids = ", ".join(map(str, sorted(entries.blocking)))
            seen = f"{name} names process {pids}, which is no dvc any more: DVC refuses to work"
            yield CheckFinding("fault", seen, f"delete {name} while no dvc runs", repair)
        elif entries.stale:
            seen = f"{name} names {format_count(len(entries.stale), 'process')} that ended without releasing"
            yield CheckFinding("warning", seen, "nothing: DVC takes no notice of them", repair)


def check_hardlink_lock(root: Path) -> Iterator[CheckFinding]:
    """Report a lock that is a file alone: it does not say which process of which machine holds it."""
    path = root / HARDLINK_LOCK
    if path.exists():
        advice = f"if no dvc runs here or on another machine, delete {HARDLINK_LOCK}"
        yield CheckFinding("warning", f"{HARDLINK_LOCK} is held (core.hardlink_lock)", advice)


def read_rwlock(path: Path) -> RwlockEntries:
    """Read a rwlock, and tell entries of processes that have ended.

    Raises:
        ValueError: The file is damaged.
    """
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict) or not all(isinstance(content.get(mode, {}), dict) for mode in _MODES):
        raise ValueError("no rwlock")
    states = {pid: _judge_process(pid, cmd) for pid, cmd in _list_processes(content).items()}
    stale = {pid for pid, state in states.items() if state != "held"}
    blocking = {pid for pid, state in states.items() if state == "taken"}
    return RwlockEntries(_drop_entries(content, stale), stale, blocking)


def _read_settled(path: Path) -> RwlockEntries:
    """Read a rwlock; again after a moment if it is damaged, since DVC may just be writing it.

    Raises:
        ValueError: It stays damaged.
    """
    for _ in range(3):
        with suppress(ValueError):
            return read_rwlock(path)
        time.sleep(0.1)
    return read_rwlock(path)


def _judge_process(pid: int, command: str) -> str:
    """Return `held` for the process of an entry, `gone` if there is none, `taken` if that is another one.

    Args:
        pid: Of the entry.
        command: Of the entry: sys.argv of the process.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        words = " ".join(process.cmdline())
        script = Path(command.split(" ")[0]).name or "dvc"
        is_other = bool(words) and not any(part in words for part in ("dvc", "pipeline", script))
        return "taken" if is_other else "held"
    except psutil.ZombieProcess:
        return "taken"  # it has ended, and DVC takes it for alive
    except psutil.NoSuchProcess:
        return "gone"
    except psutil.Error:
        return "held"


def _list_processes(content: Mapping[str, Any]) -> dict[int, str]:
    """Return process ids and commands of all entries: a mapping for each path that is written, lists else.

    Raises:
        ValueError: An entry has none.
    """
    try:
        rows = [entry for entries in _iterate_entries(content) for entry in entries]
        return {int(entry["pid"]): str(entry.get("cmd", "")) for entry in rows}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no rwlock") from error


def _iterate_entries(content: Mapping[str, Any]) -> Iterator[list[Any]]:
    for mode in _MODES:
        for entry in content.get(mode, {}).values():
            yield entry if isinstance(entry, list) else [entry] if entry else []


def _drop_entries(content: Mapping[str, Any], stale: set[int]) -> dict[str, Any]:
    kept: dict[str, Any] = {mode: {} for mode in _MODES}
    for mode in _MODES:
        for path, entry in content.get(mode, {}).items():
            listed = entry if isinstance(entry, list) else [entry]
            left = [each for each in listed if each and int(each["pid"]) not in stale]
            if left:
                kept[mode][path] = left if isinstance(entry, list) else left[0]
    return kept


def _mend(project: ExaminedProject, path: Path) -> str:
    """Remove entries that nobody holds, or a file that cannot be read, while no DVC writes it.

    The process of an entry may be in a container, whose numbers mean other processes here: the locks of the
    project's commands are seen across containers.
    """
    require_free_locks(project.scratch)
    with hold_free_lock(path.with_name(f"{path.name}.lock")) as held:
        if not held:
            raise UserError("a dvc command is writing it")
        with suppress(ValueError):
            entries = read_rwlock(path)
            write_file(path, json.dumps(entries.kept, allow_nan=False))
            return f"removed {format_count(len(entries.stale), 'process')} from {path.name}"
        if any(is_dvc(process.words) for process in project.examine_again().processes):
            raise UserError("a dvc of this project runs")
        path.unlink(missing_ok=True)
        return f"deleted {path.name}, which was cut off"
