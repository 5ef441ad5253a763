"""Compare the installed packages with requirements.lock."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.doctor.check_finding import CheckFinding

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

LOCK_FILE: Final = "requirements.lock"
PROJECT_FILE: Final = "pyproject.toml"
_SHOWN: Final = 6
_INSTALL: Final = "run `make setup`, or `pip install --require-hashes -r requirements.lock` in .venv"
_REQUIREMENT: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)


class PackageDifferences(NamedTuple):
    """Packages that are not installed as the lock says.

    Attributes:
        missing: Names of packages that are not installed.
        other: Names and versions, such as `numpy 2.4.5 instead of 2.4.6`.
    """

    missing: list[str]
    other: list[str]


def check_packages(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that the packages of the lock are installed, in these versions.

    One that is missing is a fault if pyproject.toml names it as a dependency, and a warning otherwise.
    """
    text = ""
    with suppress(FileNotFoundError):
        text = (project.root / LOCK_FILE).read_text("utf-8")
    locked = parse_lock(text)
    if not locked:
        seen = f"there is no {LOCK_FILE} to compare with, or it is empty"
        yield CheckFinding("warning", seen, f"restore it with `git checkout {LOCK_FILE}`")
        return
    found = compare_packages(locked, list_installed(sys.path))
    yield from _describe(found, len(locked), needed=_read_dependencies(project.root / PROJECT_FILE))


def _describe(found: PackageDifferences, number: int, *, needed: set[str]) -> Iterator[CheckFinding]:
    if found.missing:
        state: Any = "fault" if needed & {*found.missing} else "warning"
        yield CheckFinding(state, f"not installed: {_list_briefly(found.missing)}", _INSTALL)
    if found.other:
        seen = f"other versions than {LOCK_FILE}: {_list_briefly(found.other)}"
        yield CheckFinding("warning", seen, f"{_INSTALL}: results differ between versions")
    if not found.missing and not found.other:
        yield CheckFinding("ok", f"{number} packages as in {LOCK_FILE}")


def parse_lock(text: str) -> dict[str, str]:
    """Return the versions that a requirements file pins for this Python and system, by normalized name."""
    rows = ((name, version, marker) for name, version, marker in _REQUIREMENT.findall(text))
    return {normalize_name(name): version for name, version, marker in rows if _applies(marker)}


def list_installed(folders: Iterable[str]) -> dict[str, str]:
    """Return the versions of installed packages by normalized name, from the names of their metadata folders.

    importlib.metadata reads the metadata of each package, which takes ten times as long. A package
    that an older pip built without the package wheel has a folder NAME-VERSION-py3.11.egg-info.

    Args:
        folders: Of packages, as in sys.path: the first one that has a package counts.
    """
    found: dict[str, str] = {}
    for folder in folders:
        place = Path(folder or ".")
        for path in (*place.glob("*.dist-info"), *place.glob("*-*.egg-info")):
            name, version = path.stem.split("-")[:2]
            found.setdefault(normalize_name(name), version)
    return found


def compare_packages(locked: Mapping[str, str], installed: Mapping[str, str]) -> PackageDifferences:
    """Compare versions; the build of a version (`2.15.0+cpu`) does not count, as with pip.

    Args:
        locked: Versions by normalized name.
        installed: The same of what is installed.
    """
    return PackageDifferences(
        sorted(locked.keys() - installed.keys()),
        [
            f"{name} {installed[name]} instead of {version}"
            for name, version in sorted(locked.items())
            if name in installed and not _is_same_version(installed[name], version)
        ],
    )


def normalize_name(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_same_version(installed: str, locked: str) -> bool:
    """Compare two versions as PEP 440 does where packaging is installed: 2.1 and 2.1.0 are the same."""
    public = installed if "+" in locked else installed.partition("+")[0]
    if public == locked or find_spec("packaging") is None:
        return public == locked
    from packaging.version import InvalidVersion, Version

    try:
        return Version(public) == Version(locked)
    except InvalidVersion:
        return False


def _applies(marker: str) -> bool:
    """Evaluate the condition of a requirement, such as `sys_platform == 'linux'`."""
    if not marker or find_spec("packaging") is None:
        return not marker
    from packaging.markers import Marker

    return Marker(marker).evaluate()


def _read_dependencies(file: Path) -> set[str]:
    """Return the normalized names of the project's own dependencies; empty without a pyproject.toml."""
    import tomllib

    try:
        listed = tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"]
        return {normalize_name(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]) for text in listed}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _list_briefly(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
