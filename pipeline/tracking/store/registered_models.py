"""Read MLflow's model registry: the versions of a model, their aliases, and the runs that made them."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from pipeline.tracking.store.tracked_runs import RunReader, quote_filter_value, read_errors_as_sentences

_MODEL_SOURCE: Final = re.compile(r"models:/(m-[0-9a-f]+)$")
"""Of a version that was made from a logged model."""


class ModelVersionRecord(NamedTuple):
    """A version of a registered model.

    Attributes:
        name: Of the registered model.
        version: Its number, as text.
        aliases: Its aliases, such as champion.
        run_id: The run that made it; None if the registry does not know it.
        model_id: The logged model that it is; None if the registry does not know it.
        tags: Of the version.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    run_id: str | None
    model_id: str | None
    tags: dict[str, str]


def list_model_versions(reader: RunReader, name: str) -> list[ModelVersionRecord]:
    """List the versions of a registered model; empty if there is no such model.

    Args:
        reader: Of the store.
        name: Of the registered model.
    """
    quoted = quote_filter_value(name)
    if reader.is_empty or quoted is None or not name:
        return []
    with read_errors_as_sentences(reader.target):
        client = reader.store.client
        models = client.search_registered_models(f"name = {quoted}", max_results=1)
        aliases = models[0].aliases if models else {}
        found: list[Any] = []
        token: str | None = None
        while models:
            page = client.search_model_versions(f"name = {quoted}", max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                break
        return [_convert_version(reader, item, aliases) for item in found]


def _convert_version(reader: RunReader, item: Any, aliases: dict[str, str]) -> ModelVersionRecord:
    own = tuple(sorted(alias for alias, version in aliases.items() if str(version) == str(item.version)))
    source = _MODEL_SOURCE.match(item.source or "")
    model_id = source[1] if source else None
    run_id = item.run_id or None
    if run_id is None and model_id is not None:
        run_id = reader.store.client.get_logged_model(model_id).source_run_id
    return ModelVersionRecord(item.name, str(item.version), own, run_id, model_id, dict(item.tags))
