"""Schema of conf/tracking."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.config.fields import ConfigGroup, Positive
from pipeline.config.tracking_uri import ALLOWED_URIS, check_tracking_uri


class TrackingConfig(ConfigGroup):
    """Where MLflow stores the runs: a database or a server (MLflow does not accept plain folders)."""

    uri: Annotated[str, AfterValidator(check_tracking_uri), Field(description=ALLOWED_URIS)]
    experiment: Annotated[str, Field(min_length=1)]
    run_name: str | None
    tags: dict[str, str]
    system_metrics: bool
    timeout: Positive
