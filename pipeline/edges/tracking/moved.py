"""A project's folder that was moved or copied: MLflow's database names files by absolute paths."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from pipeline.edges.tracking.target import Target

COLUMNS = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}


def follow(target: Target) -> None:
    """Point the database to the files in this folder, where its experiment still names another one.

    Else old runs would show no files, and new ones would write theirs to where the project once was. For this
    MLflow has no call of its own; call it under the lock of the database's initialisation.
    """
    if not target.database or not target.place or not target.artifacts:
        return
    with closing(sqlite3.connect(target.database, timeout=20)) as database, database:
        question = "SELECT artifact_location FROM experiments WHERE name = ?"
        [place] = database.execute(question, (target.experiment,)).fetchone() or [target.place]
        old = place.removesuffix(target.place.removeprefix(target.artifacts))
        if old in {place, target.artifacts} or not old.startswith("file:"):
            return
        for table, column in COLUMNS.items():
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (f"{target.artifacts}/", len(old) + 2, len(old) + 1, f"{old}/"),
            )
