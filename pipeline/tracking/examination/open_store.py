"""Open a store to read its runs, whatever it is."""

from __future__ import annotations

from pipeline.tracking.examination.database_runs import DatabaseRuns
from pipeline.tracking.examination.stored_runs import StoredRuns
from pipeline.tracking.target import TrackingTarget


def open_stored_runs(target: TrackingTarget) -> StoredRuns | None:
    """Return the runs of a store; None where there is no database yet."""
    if target.database is not None:
        return DatabaseRuns(target, target.database) if target.database.exists() else None
    from pipeline.tracking.examination.server import ServerRuns

    return ServerRuns(target)
