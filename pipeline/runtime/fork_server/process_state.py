"""What a process has from its start: environment, folder, limits, CPUs. A fork gets that of its client."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.storage.scratch_folder import ROOT_VARIABLE

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a client passes on; a process may have been started with any of them ignored."""
_READ_LATE: Final = frozenset({"PWD", "OLDPWD", "SHLVL", "_", "CUDA_VISIBLE_DEVICES", "DVC_STAGE"})
"""Variables that may differ from those of a server: nothing reads them at import."""
THREADS_VARIABLE: Final = "OMP_NUM_THREADS"
"""May differ, too, where the client sets it: a fork sets the numbers of threads again."""
_IMPORT_TIME_FINETRACK: Final = frozenset({ROOT_VARIABLE, "FINETRACK_LOG"})


def describe_process(cwd: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Describe the process that a command would run in, if it were started here now."""
    return {
        "cwd": str(cwd),
        "environment": dict(environment),
        "umask": _read_umask(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "limits": {str(number): resource.getrlimit(number) for number in _list_limits()},
        "affinity": sorted(os.sched_getaffinity(0)),
        "ignored": [int(number) for number in STOP_SIGNALS if signal.getsignal(number) is signal.SIG_IGN],
    }


def describe_interpreter() -> dict[str, Any]:
    """Describe what must be the same in a server and its client."""
    return {
        "executable": os.path.realpath(sys.executable),
        "prefix": sys.prefix,
        "version": sys.version,
        "flags": [str(flag) for flag in sys.flags],
        "warnings": sys.warnoptions,
        "options": {key: str(value) for key, value in sys._xoptions.items()},
        "session": os.getsid(0),
        "memory": list(resource.getrlimit(resource.RLIMIT_AS)),  # decides how many threads numpy starts
    }


def build_request(
    module: str, arguments: list[str], state: dict[str, Any], *, group: int = 0
) -> dict[str, Any]:
    """Build the request for a fork.

    Args:
        module: Such as pipeline.
        arguments: Of the command.
        state: Of the process; see `describe_process`.
        group: The process group that the fork joins; 0 for a new one.
    """
    return {
        "module": module,
        "arguments": arguments,
        "group": group,
        "process": state,
        "interpreter": describe_interpreter(),
        "code": compute_code_digest(Path(state["cwd"])) if module == "pipeline" else "",
    }


def adopt_process(state: Mapping[str, Any]) -> None:
    """Make this process what `describe_process` says, except for its environment."""
    os.chdir(state["cwd"])
    os.umask(state["umask"])
    if state["nice"] != os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, state["nice"])
    for number, limits in state["limits"].items():
        if resource.getrlimit(int(number)) != (wanted := (limits[0], limits[1])):
            resource.setrlimit(int(number), wanted)
    os.sched_setaffinity(0, state["affinity"])
    for number in STOP_SIGNALS:
        if (number in state["ignored"]) != (signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, signal.SIG_IGN if number in state["ignored"] else _get_default(number))


def find_differing_variable(first: Mapping[str, str], second: Mapping[str, str]) -> str | None:
    """Return a variable that differs and that modules may have read while they were imported; None if none.

    Args:
        first: The environment of the server.
        second: That of the client.
    """
    rooted = bool(first.get(ROOT_VARIABLE))  # else DVC_ROOT decides where the scratch folder is
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) == second.get(name) or _is_read_late(name, rooted=rooted):
            continue
        if name != THREADS_VARIABLE or not second.get(name, "").isdecimal():
            return name
    return None


def compute_code_digest(folder: Path) -> str:
    """Compute a digest of the Python files and the list of code in the package `pipeline` of a folder."""
    digest, package = hashlib.sha256(), folder / "pipeline"
    files = [*package.rglob("*.py"), *package.glob("*.json")]
    for path in sorted(files):
        contents = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()


def _is_read_late(name: str, *, rooted: bool) -> bool:
    if name.startswith("FINETRACK_"):
        return name not in _IMPORT_TIME_FINETRACK
    if name == "DVC_ROOT":
        return rooted
    return name in _READ_LATE or name.startswith("DVC_EXP_")


def _read_umask() -> int:
    """Read the umask; setting it to read it would change it for other threads."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def _list_limits() -> list[int]:
    return [value for name, value in vars(resource).items() if name.startswith("RLIMIT_")]


def _get_default(number: int) -> Any:
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
