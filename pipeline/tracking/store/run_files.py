"""Download files of runs and of logged models from MLflow."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pipeline.tracking.store.tracked_runs import RunReader, read_errors_as_sentences


def download_run_files(reader: RunReader, run_id: str, path: str, folder: Path) -> Path | None:
    """Download a file or a folder of a run's artifacts; return its local path, None if the run has none.

    Args:
        reader: Of the store.
        run_id: The run.
        path: Of the artifact, such as `evaluation/predictions`.
        folder: Receives it, below `path`; it exists.

    Raises:
        TrackingUnavailableError: The store does not answer, or the file cannot be read.
    """
    from mlflow.artifacts import download_artifacts

    with read_errors_as_sentences(reader.target):
        parent = PurePosixPath(path).parent.as_posix()
        siblings = reader.store.client.list_artifacts(run_id, None if parent == "." else parent)
        if path not in {item.path for item in siblings}:
            return None
        uri = f"runs:/{run_id}/{path}"
        return Path(download_artifacts(uri, dst_path=str(folder), tracking_uri=reader.target.address))


def download_model_weights(reader: RunReader, model_id: str, folder: Path) -> Path | None:
    """Download the weights inside a logged model; return the file, None if the model has none.

    Args:
        reader: Of the store.
        model_id: The logged model.
        folder: Receives it; it exists.

    Raises:
        TrackingUnavailableError: The store does not answer, or the file cannot be read.
    """
    import yaml
    from mlflow.artifacts import download_artifacts

    with read_errors_as_sentences(reader.target):
        place = reader.store.client.get_logged_model(model_id).artifact_location
        address = reader.target.address
        described = download_artifacts(f"{place}/MLmodel", dst_path=str(folder), tracking_uri=address)
        flavors = yaml.safe_load(Path(described).read_text("utf-8"))["flavors"]
        weights = flavors.get("python_function", {}).get("artifacts", {}).get("weights")
        if weights is None:
            return None
        return Path(
            download_artifacts(f"{place}/{weights['path']}", dst_path=str(folder), tracking_uri=address)
        )
