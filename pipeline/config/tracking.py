"""Schema of conf/tracking."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.fields import Group, Positive

STORES = r"^(sqlite:///|https?://|postgresql|mysql|mssql|databricks)"
STORE = "a database such as sqlite:///mlflow.db, or a server such as http://127.0.0.1:5000"


class Tracking(Group):
    """Where MLflow keeps the runs: a database or a server (MLflow refuses plain folders)."""

    uri: Annotated[str, Field(pattern=STORES, description=STORE)]
    experiment: Annotated[str, Field(min_length=1)]
    run_name: str | None
    tags: dict[str, str]
    system_metrics: bool
    timeout: Positive
