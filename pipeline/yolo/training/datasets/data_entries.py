"""Describe the images of a training as Ultralytics' data YAML does, without such a file."""

from __future__ import annotations

from typing import Any

from pipeline.core.tasks import Keypoints
from pipeline.yolo.job import TrainingJob


def build_data_entries(job: TrainingJob, *, single_cls: bool) -> dict[str, Any]:
    """Return names, folders and key points under the keys of a data YAML.

    Args:
        job: The training.
        single_cls: Whether all classes become one.
    """
    names = dict(enumerate(["item"] if single_cls else job.names))
    train, val = ([str(folder.resolve()) for folder in part] for part in (job.train, [job.val]))
    return {
        "names": names,
        "nc": len(names),
        "channels": 3,
        "train": train,
        "val": val,
        "task": job.task,
        **_describe_keypoints(job.keypoints, names),
    }


def _describe_keypoints(keypoints: Keypoints | None, names: dict[int, str]) -> dict[str, Any]:
    if keypoints is None:
        return {}
    point_names = {index: list(keypoints.names) for index in names}
    shape = [keypoints.count, keypoints.dims]
    return {"kpt_shape": shape, "flip_idx": list(keypoints.flip), "kpt_names": point_names}
