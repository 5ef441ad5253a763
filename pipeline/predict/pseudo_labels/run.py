"""Label unlabelled images by a teacher: choose thresholds on val, predict, write a folder with a record.

The teacher's own val predictions decide, not a fixed score: what a score is worth differs between classes and
models. Nothing is written where the teacher is not good enough.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.config.override_text import quote_override_text
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.dataset.pseudo_labels import (
    IMAGES_FOLDER,
    PSEUDO_LABELS_FILE,
    PseudoLabelRecord,
    write_pseudo_label_record,
)
from pipeline.predict.list_files import FileList, list_files
from pipeline.predict.pseudo_labels.judge_image import LABELLED
from pipeline.predict.pseudo_labels.label_images import EQUAL, UNREADABLE, ImageLabeller, LabelledImages
from pipeline.predict.pseudo_labels.measure_val import (
    TeacherThresholds,
    ValOutcome,
    describe_outcome,
    require_good_teacher,
)
from pipeline.predict.pseudo_labels.teacher import PseudoLabelTeacher, find_teacher
from pipeline.predict.pseudo_labels.thresholds import ClassThreshold, PseudoLabelRule
from pipeline.storage.files import write_file, write_folder

MIN_SHARE_OF_VAL: Final = 0.5
"""Images that get labels, as a share of those of val that do; below it they may be of another kind."""
_RECORDED_SETTINGS: Final = ("imgsz", "conf", "iou", "max_det", "tile", "overlap")


@dataclass(frozen=True)
class PseudoLabelRequest:
    """What a user asks `finetrack pseudo-label` for.

    Args:
        sources: Files, folders and archives of images.
        output: The folder of the result; it does not exist yet.
        model: The teacher, as in `resolve_reference`.
        rule: What its labels must be worth.
        device: `device` and `threads` where the user sets them.
    """

    sources: Sequence[Path]
    output: Path
    model: str
    rule: PseudoLabelRule
    device: Mapping[str, Any] = field(default_factory=dict)


def run_pseudo_labelling(request: PseudoLabelRequest, config: Config) -> Iterator[str]:
    """Label images, and yield lines for the user.

    Raises:
        UserError: There is nothing to label, the teacher cannot be used or is not good enough, or no image
            gets labels. Nothing is written then.
    """
    _require_new_output(request)
    yield from label_by_teacher(request, find_teacher(request.model, config, request.device))


def label_by_teacher(request: PseudoLabelRequest, teacher: PseudoLabelTeacher) -> Iterator[str]:
    """Label images by a model that was found, and yield lines for the user; see `run_pseudo_labelling`."""
    _require_new_output(request)
    listed = list_files(request.sources)
    if all(file.is_video for file in listed.files):
        raise UserError(
            "there are only videos: extract frames of them, some seconds apart, and name their folder"
        )
    thresholds = teacher.measure(request.rule)
    yield from _describe_thresholds(teacher, thresholds)
    require_good_teacher(thresholds, teacher.manifest.names)
    yield from write_labelled_folder(request, teacher, thresholds, listed)


def write_labelled_folder(
    request: PseudoLabelRequest, teacher: PseudoLabelTeacher, thresholds: TeacherThresholds, listed: FileList
) -> Iterator[str]:
    """Label images by thresholds that were chosen, and yield lines for the user.

    Args:
        request: What the user asks for.
        teacher: The model.
        thresholds: Which of its detections become labels.
        listed: The images; videos among them are left out.

    Raises:
        UserError: No image gets labels, or the folder was made meanwhile. Nothing is written then.
    """
    files = [file for file in listed.files if not file.is_video]
    with write_folder(request.output) as folder:
        labelled = ImageLabeller(teacher, thresholds, folder).label(files)
        _require_labelled(labelled, len(files))
        _write_data_yaml(folder, teacher)
        write_pseudo_label_record(folder, _build_record(request, teacher, thresholds, labelled))
        _require_new_output(request)
    yield from _describe_outcome(listed, labelled)
    yield from warn_of_other_images(thresholds.val, labelled)
    yield from _advise(request, teacher)


def _require_new_output(request: PseudoLabelRequest) -> None:
    """Require a new folder for the result, outside of the images.

    Raises:
        UserError: It exists: people may have corrected the labels in it. Or it is in a source.
    """
    if request.output.exists():
        raise UserError(
            f"{request.output} exists, and people may have corrected its labels: name another folder with "
            "--output, or delete it"
        )
    for source in request.sources:
        if request.output.resolve().is_relative_to(source.resolve()):
            raise UserError(f"{request.output} is in the source {source}: name another folder with --output")


def _require_labelled(labelled: LabelledImages, files: int) -> None:
    if not labelled.images:
        raise UserError(
            f"none of {format_count(files, 'image')} gets labels ({_count_outcomes(labelled)}): name images "
            "that are like those of val, or set --precision lower"
        )


def _write_data_yaml(folder: Path, teacher: PseudoLabelTeacher) -> None:
    """Write data.yaml, so that tools for labels open the folder."""
    points, names = teacher.manifest.keypoints, dict(enumerate(teacher.manifest.names))
    content = {"train": IMAGES_FOLDER, "val": IMAGES_FOLDER, "names": names}
    if points:
        point_names = {index: list(points.names) for index in names}  # Ultralytics states them per class
        shape = [points.count, points.dims]
        content |= {"kpt_shape": shape, "flip_idx": list(points.flip), "kpt_names": point_names}
    write_file(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _build_record(
    request: PseudoLabelRequest,
    teacher: PseudoLabelTeacher,
    thresholds: TeacherThresholds,
    labelled: LabelledImages,
) -> PseudoLabelRecord:
    manifest, settings = teacher.manifest, dict(teacher.settings)
    return PseudoLabelRecord(
        task=manifest.task,
        names=manifest.names,
        keypoints=manifest.keypoints,
        teacher=teacher.describe(),
        trained_on=teacher.list_learned_images(),
        images=tuple(labelled.images),
        rule={**request.rule._asdict(), **{name: settings.get(name) for name in _RECORDED_SETTINGS}},
        classes={
            name: {**found._asdict(), "labels": labelled.objects[cls]}
            for cls, (name, found) in enumerate(zip(manifest.names, thresholds.classes, strict=True))
        },
        val=describe_outcome(thresholds.val),
        counts=dict(labelled.counts),
    )


def _describe_thresholds(teacher: PseudoLabelTeacher, thresholds: TeacherThresholds) -> Iterator[str]:
    val = thresholds.val
    yield f"pseudo-label: teacher {teacher.iteration.label}, thresholds from its {val.images} val images"
    for name, found in zip(teacher.manifest.names, thresholds.classes, strict=True):
        yield f"pseudo-label: {name}: {_describe_class(found)}"
    yield f"pseudo-label: {_describe_val(val, teacher.manifest.task)}"


def _describe_class(found: ClassThreshold) -> str:
    right = f"{found.right} of {found.detections} on val right"
    if found.accepted is None:
        return f"no labels ({right} at any score); uncertain from {found.uncertain:.2f}"
    return (
        f"labels from score {found.accepted:.2f} ({right}, {found.tight} at IoU 0.75), uncertain from "
        f"{found.uncertain:.2f}"
    )


def _describe_val(val: ValOutcome, task: str) -> str:
    start = (
        f"by halves of val, {val.labelled} of its {val.images} images get labels: {val.precision:.0%} of "
        f"{val.labels} labels are right"
    )
    if task == "classify":
        return start
    return f"{start}, {val.recall:.0%} of {val.objects} objects in these images have one"


def _describe_outcome(listed: FileList, labelled: LabelledImages) -> Iterator[str]:
    objects = sum(labelled.objects.values())
    yield (
        f"pseudo-label: {format_count(len(labelled.images), 'image')} with {format_count(objects, 'label')}; "
        f"left out: {_count_outcomes(labelled) or 'none'}"
    )
    videos = sum(file.is_video for file in listed.files)
    counts = [format_count(videos, "video")] * bool(videos)
    counts += [format_count(listed.others, "other file")] * bool(listed.others)
    if counts:
        yield f"pseudo-label: left out too: {' and '.join(counts)}"
    if labelled.unreadable:
        name, reason = labelled.unreadable[0]
        yield f"pseudo-label: the first unreadable one is {name} ({reason})"


def warn_of_other_images(val: ValOutcome, labelled: LabelledImages) -> Iterator[str]:
    """Yield a warning where far fewer images get labels than of val: the thresholds are of other images.

    Args:
        val: What the thresholds do on val.
        labelled: What became of the images; those that the teacher did not see are not counted.
    """
    judged = sum(number for why, number in labelled.counts.items() if why not in {UNREADABLE, EQUAL})
    here, there = len(labelled.images) / judged, val.labelled / val.images
    if here < MIN_SHARE_OF_VAL * there:
        yield (
            f"pseudo-label: warning: {here:.0%} of these images get labels, and {there:.0%} of val: they may "
            "be unlike the images that the thresholds are from, and their labels worse than those on val"
        )


def _advise(request: PseudoLabelRequest, teacher: PseudoLabelTeacher) -> Iterator[str]:
    yield f"pseudo-label: look at some of {request.output} ({PSEUDO_LABELS_FILE} has the figures), and train:"
    override = f"data.unlabelled_source={quote_override_text(str(request.output))}"
    yield f"  dvc exp run -S {shlex.quote(override)}"
    run_id, reference = teacher.iteration.run_id, teacher.iteration.reference
    yield f"  finetrack compare {run_id[:8] if run_id else shlex.quote(reference)} workspace"


def _count_outcomes(labelled: LabelledImages) -> str:
    return ", ".join(
        f"{number} {outcome}" for outcome, number in labelled.counts.most_common() if outcome != LABELLED
    )
