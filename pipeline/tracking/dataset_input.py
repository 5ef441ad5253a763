"""Describe the dataset of a run for MLflow: name, digest, source, classes, counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

DIGEST_LENGTH = 12
"""Characters of the digest that MLflow shows; it accepts 36 at most."""


def describe_dataset(
    name: str, digest: str, *, source: str, classes: Sequence[str], splits: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the facts about a dataset that are logged.

    Args:
        name: The dataset's name for people.
        digest: SHA-256 of its contents; MLflow shows the first 12 characters.
        source: Where it came from, without a path of this machine if possible.
        classes: The class names.
        splits: For train, val and test: the number of images, and of objects per class.
    """
    return {
        "name": name,
        "digest": digest,
        "source": source,
        "classes": list(classes),
        "splits": dict(splits),
    }


def build_dataset_input(facts: Mapping[str, Any]) -> Any:
    """Build MLflow's dataset input from the facts; the counts are its profile, the classes its schema.

    Args:
        facts: Of `describe_dataset`; with `use`, if the run uses it for something else than training.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": name, "type": "string", "required": True} for name in ("image", *facts["classes"])]
    entry = Dataset(
        name=facts["name"][:500],
        digest=facts["digest"][:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": facts["source"]}, allow_nan=False),
        schema=json.dumps({"mlflow_colspec": columns}, allow_nan=False),
        profile=json.dumps(facts["splits"], allow_nan=False),
    )
    return DatasetInput(entry, tags=[InputTag("mlflow.data.context", facts.get("use", "training"))])


def get_dataset_reference(run: Any) -> dict[str, str]:
    """Return the arguments that tie a metric to the run's dataset."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return (
        {"dataset_name": inputs[-1].dataset.name, "dataset_digest": inputs[-1].dataset.digest}
        if inputs
        else {}
    )
