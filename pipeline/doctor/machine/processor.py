"""Check the processor: what it can compute, how many threads there are, and limits of this process."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.runtime.worker_count import count_available_cores

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

FEATURES: Final = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16",
    "asimd": "NEON",
    "sve": "SVE",
    "bf16": "bf16",
}
"""Flags of /proc/cpuinfo that decide how fast torch computes, and their names."""
MIN_OPEN_FILES: Final = 1024
"""The usual limit of Linux; with less, processes that load images run out of files."""
_PROCESSOR_FILE: Final = Path("/proc/cpuinfo")


def check_processor(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check features and threads of the processor, and how many files may be open."""
    features, cores = read_features(_PROCESSOR_FILE), count_available_cores()
    problems = [*_check_features(features), *_check_threads(project, cores), *_check_open_files()]
    yield from problems
    if not problems:
        known = ", ".join(features.values()) if features else platform.machine()
        yield CheckFinding("ok", f"{format_count(cores, 'core')} for this process, {known}")


def read_features(file: Path) -> dict[str, str]:
    """Return the features that a file in the form of /proc/cpuinfo lists, by flag; empty elsewhere."""
    with suppress(OSError):
        for line in file.read_text("utf-8", errors="replace").splitlines():
            if line.lower().startswith(("flags", "features")):
                flags = {*line.partition(":")[2].split()}
                return {flag: name for flag, name in FEATURES.items() if flag in flags}
    return {}


def _check_features(features: dict[str, str]) -> Iterator[CheckFinding]:
    if platform.machine() in {"x86_64", "AMD64"} and "avx2" not in features and _PROCESSOR_FILE.exists():
        yield CheckFinding(
            "warning",
            "this processor, or its virtual machine, has no AVX2: a training takes several times as long",
            "choose another type of virtual machine, or train on a GPU",
        )


def _check_threads(project: ExaminedProject, cores: int) -> Iterator[CheckFinding]:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    configured: int | str = "auto"
    with suppress(UserError, ImportError):
        configured = project.config.finetune.threads
    if isinstance(configured, int) and configured > cores:
        seen = f"finetune.threads={configured} are more threads than the {cores} cores: slower than fewer"
        yield CheckFinding("warning", seen, "set finetune.threads=auto")
    elif configured == "auto" and asked.isdecimal() and 0 < int(asked) < cores:
        seen = f"OMP_NUM_THREADS={asked} keeps trainings from using all {cores} cores"
        yield CheckFinding("warning", seen, "`unset OMP_NUM_THREADS`, unless it is meant")


def _check_open_files() -> Iterator[CheckFinding]:
    with suppress(ImportError):  # not on Windows
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and limit < MIN_OPEN_FILES:
            seen = f"this process may open {limit} files, which is not enough for a training"
            yield CheckFinding("warning", seen, "run `ulimit -n 4096` before")
