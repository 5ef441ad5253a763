"""MLflow: every word about a run goes to a journal on disk and from there, in the background, to MLflow.

target     where the runs go                  session    what a stage says
runs       a run's life: open, attach         journal    the outbox on disk
sender     the background thread              delivery   messages -> MLflow, harmless when repeated
stale      what killed commands left behind   store      the client, the settings, the database
"""

from pipeline.edges.tracking.runs import attach, open_run, parent, send_missed
from pipeline.edges.tracking.session import Session
from pipeline.edges.tracking.target import Target

__all__ = ["Session", "Target", "attach", "open_run", "parent", "send_missed"]
