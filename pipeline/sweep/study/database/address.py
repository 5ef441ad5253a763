"""The address of a study's database: a file of the project, or a server of a team. Without Optuna."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import create_scratch_folder, project_root

_PASSWORD: Final = re.compile(r"(?<=://)([^:/@\s]*):\S*@")


class DatabaseAddress(NamedTuple):
    """Where a study is stored.

    Attributes:
        url: For SQLAlchemy.
        shown: For people: a file, or a server without a password.
        file: The file of an sqlite database; None for a server.
    """

    url: str
    shown: str
    file: Path | None


def hide_passwords(text: str) -> str:
    """Return a text without the passwords of the addresses in it."""
    return _PASSWORD.sub(r"\1:***@", text)


def parse_storage_address(storage: str | None) -> DatabaseAddress:
    """Return the address of the study's database.

    Args:
        storage: `sweep.storage`; None: .finetrack/sweeps/studies.db of the project.

    Raises:
        UserError: It is neither sqlite nor PostgreSQL, or it holds a password.
    """
    if storage is None:
        return _build_file_address(create_scratch_folder("sweeps") / "studies.db")
    kind, _, rest = storage.partition("://")
    if kind == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return _build_file_address(project_root() / rest[1:])
    if kind not in {"postgres", "postgresql", "postgresql+psycopg"} or not rest:
        raise UserError(
            f"sweep.storage={hide_passwords(storage)} is not allowed: "
            "it must be postgresql://USER@HOST/DATABASE or sqlite:///FILE"
        )
    if _PASSWORD.search(storage) or "password=" in rest:
        raise UserError(
            "sweep.storage must not hold a password, since the command is recorded: "
            "set PGPASSWORD, or write ~/.pgpass"
        )
    return DatabaseAddress(f"postgresql+psycopg://{rest}", f"postgresql://{rest}", None)


def _build_file_address(file: Path) -> DatabaseAddress:
    return DatabaseAddress(f"sqlite:///{file}", str(file), file)
