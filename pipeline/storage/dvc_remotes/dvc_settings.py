"""Read DVC's settings, and ask a remote whether it answers; nothing is created, as opening a project does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.storage.dvc_remotes.remote_errors import describe_remote_error, hide_password

CONNECT_SECONDS: Final = 5


class DvcSettings(NamedTuple):
    """Settings of DVC, of all levels: the system's, the user's, the project's, the local ones.

    Attributes:
        cache: The folder of the cache; it need not exist.
        hardlink_lock: Whether a lock is a file that exists (core.hardlink_lock), as for disks without locks.
        remotes: The address of each remote by name, without passwords.
        default_remote: The name of the remote that is used without `-r`; None if there is none.
        values: All settings, as DVC has them; they may hold passwords.
    """

    cache: Path
    hardlink_lock: bool
    remotes: Mapping[str, str]
    default_remote: str | None
    values: Mapping[str, Any]


def read_dvc_settings(folder: Path) -> DvcSettings:
    """Read the settings of a project.

    Args:
        folder: With .dvc in it.

    Raises:
        UserError: There is no .dvc, or a file of settings is damaged.
    """
    from dvc.config import Config, ConfigError

    place = folder / ".dvc"
    if not place.is_dir():
        raise UserError(f"there is no {place}: restore it with `git checkout .dvc`, or run `dvc init`")
    try:
        values = Config(str(place))
    except (ConfigError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"DVC's settings cannot be read ({reason}): mend .dvc/config or .dvc/config.local"
        ) from None
    remotes = {name: hide_password(str(remote.get("url", ""))) for name, remote in values["remote"].items()}
    return DvcSettings(
        cache=Path(values["cache"].get("dir") or place / "cache"),
        hardlink_lock=bool(values["core"].get("hardlink_lock")),
        remotes=remotes,
        default_remote=values["core"].get("remote"),
        values=values,
    )


def has_remote_folder(settings: DvcSettings, name: str) -> bool:
    """Ask a remote whether its folder, or bucket, exists; it may not before the first push.

    Args:
        settings: Of the project.
        name: Of the remote.

    Raises:
        UserError: The remote cannot be reached, refuses the access, or its packages are not installed.
    """
    values = settings.values["remote"][name]
    try:
        from dvc.fs import get_cloud_fs

        kind, options, path = get_cloud_fs(settings.values, name=name)
        if kind.protocol == "s3":
            options.setdefault("connect_timeout", CONNECT_SECONDS)
        files = kind(**options)
        return bool(files.exists(path) or (kind.protocol != "local" and _has_top(files, path)))
    except Exception as error:  # of DVC, and of the libraries of its remotes
        raise UserError(describe_remote_error(error, name=name, settings=values)) from error


def _has_top(files: Any, path: str) -> bool:
    """Return whether the first folder of a path, such as the bucket, exists."""
    parts = [part for part in path.split("/") if part]
    return bool(parts and files.exists(f"{'/' if path.startswith('/') else ''}{parts[0]}"))
