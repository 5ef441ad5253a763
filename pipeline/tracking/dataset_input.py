"""The dataset as MLflow shows it: name, digest, where it came from, what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

DIGITS = 12
"""Of the digest, in MLflow's narrow columns; it takes 36 at most."""


def facts(
    name: str, digest: str, *, source: str, classes: Sequence[str], splits: Mapping[str, Any]
) -> dict[str, Any]:
    """Gather what is logged of a dataset.

    Args:
        name: What a person calls it.
        digest: SHA-256 of its contents; MLflow shows the first 12 digits of it.
        source: Where it came from, without a path of this machine where that can be.
        classes: Their names.
        splits: For each of train, val and test, the number of images and the objects of each class.
    """
    return {
        "name": name,
        "digest": digest,
        "source": source,
        "classes": list(classes),
        "splits": dict(splits),
    }


def entity(facts: Mapping[str, Any]) -> Any:
    """Make MLflow's dataset input of them; the counts are its profile, the classes its schema."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": name, "type": "string", "required": True} for name in ("image", *facts["classes"])]
    entry = Dataset(
        name=facts["name"][:500],
        digest=facts["digest"][:DIGITS],
        source_type="local",
        source=json.dumps({"uri": facts["source"]}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(facts["splits"]),
    )
    return DatasetInput(entry, tags=[InputTag("mlflow.data.context", "training")])


def on_dataset(run: Any) -> dict[str, str]:
    """Name the run's dataset as a metric does that belongs to it."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return (
        {"dataset_name": inputs[-1].dataset.name, "dataset_digest": inputs[-1].dataset.digest}
        if inputs
        else {}
    )
