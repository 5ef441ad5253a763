"""Schema of conf/tracking."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.config.fields import ConfigGroup, Positive
from pipeline.config.stores import STORE, check


class TrackingConfig(ConfigGroup):
    """Where MLflow keeps the runs: a database or a server (MLflow refuses plain folders)."""

    uri: Annotated[str, AfterValidator(check), Field(description=STORE)]
    experiment: Annotated[str, Field(min_length=1)]
    run_name: str | None
    tags: dict[str, str]
    system_metrics: bool
    timeout: Positive
