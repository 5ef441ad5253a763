"""Predict on all images and videos of some sources, and write the results while they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.predict.image_files import PICTURES_FOLDER, remove_image_files
from pipeline.predict.journal import (
    EarlierResults,
    find_frame_results,
    read_errors,
    read_frame_results,
    resume_journal,
)
from pipeline.predict.list_files import FileList, SourceFile, list_files
from pipeline.predict.output_folder import LOCK_FILE, OutputFolder, open_output_folder
from pipeline.predict.predict_files import FilePredictor, PredictionCounts
from pipeline.predict.render_video import get_video_path, render_video
from pipeline.predict.request import PredictionRequest, describe_chosen_model, list_deciding_settings
from pipeline.predict.result_tables import (
    COCO_FILE,
    CSV_FILE,
    UNREADABLE_FILE,
    ModelHead,
    write_coco,
    write_csv,
    write_unreadable,
)
from pipeline.runtime.progress import format_duration
from pipeline.storage.files import hold_writer_lock
from pipeline.yolo.inference.loaded_model import LoadedModel


def run_prediction(request: PredictionRequest) -> Iterator[str]:
    """Predict, and yield lines for the user.

    A folder of an earlier run with the same model, sources and settings is continued: images that are in its
    journal are not predicted on again, unless they changed.

    Raises:
        UserError: There is nothing to predict on, the folder has other results, or at the end: a file could
            not be read.
    """
    _require_output_outside(request)
    listed = list_files(request.sources)
    yield from (f"predict: {sentence}" for sentence in request.chosen.sentences)
    request.output.mkdir(parents=True, exist_ok=True)
    with hold_writer_lock(request.output / LOCK_FILE, what=str(request.output)):
        folder = open_output_folder(request.output, list_deciding_settings(request))
        earlier = resume_journal(
            folder.journal, listed.files, remove=partial(remove_image_files, folder.path)
        )
        _remove_old_videos(folder, listed.files, earlier)
        with LoadedModel(request.chosen.weights, settings=request.chosen.settings) as model:
            head = ModelHead(model.task, model.names, describe_chosen_model(request.chosen))
            counts = FilePredictor(request, folder.journal, model).predict_files(listed.files, earlier)
        _write_tables(request, folder, head)
        _render_videos(request, folder, head, listed.files)
        errors = list(read_errors(folder.journal))
        _write_errors(folder, errors)
    yield from _summarize(request, listed, counts)
    _require_all_read(request, errors, len(listed.files))


def _require_output_outside(request: PredictionRequest) -> None:
    """Check that the pictures that are written are no images of the next run."""
    for source in request.sources:
        if request.output.resolve().is_relative_to(source.resolve()):
            raise UserError(
                f"{request.output} is in the source {source}, whose next prediction would read its pictures: "
                "name another folder with --output"
            )


def _remove_old_videos(folder: OutputFolder, files: Sequence[SourceFile], earlier: EarlierResults) -> None:
    """Remove the videos that an earlier run made of another version of the file."""
    for file in files:
        if file.is_video and file.name not in earlier.images and file.name not in earlier.frames:
            get_video_path(folder.path / PICTURES_FOLDER, file).unlink(missing_ok=True)


def _write_tables(request: PredictionRequest, folder: OutputFolder, head: ModelHead) -> None:
    if "coco" in request.formats:
        write_coco(folder.path / COCO_FILE, folder.journal, head)
    if "csv" in request.formats:
        write_csv(folder.path / CSV_FILE, folder.journal, head)


def _render_videos(
    request: PredictionRequest, folder: OutputFolder, head: ModelHead, files: Sequence[SourceFile]
) -> None:
    """Write the videos with their objects that are not there yet."""
    if "pictures" not in request.formats:
        return
    pictures = folder.path / PICTURES_FOLDER
    videos = [(file, get_video_path(pictures, file)) for file in files if file.is_video]
    missing = [(file, path) for file, path in videos if not path.exists()]
    frames = find_frame_results(folder.journal) if missing else {}
    for file, path in missing:
        render_video(path, file, read_frame_results(folder.journal, frames.get(file.name, ())), head)


def _write_errors(folder: OutputFolder, errors: Sequence[tuple[str, str]]) -> None:
    place = folder.path / UNREADABLE_FILE
    if errors:
        write_unreadable(place, errors)
    else:
        place.unlink(missing_ok=True)


def _summarize(request: PredictionRequest, listed: FileList, counts: PredictionCounts) -> Iterator[str]:
    rate = f" ({counts.images / counts.seconds:.3g} images a second)" if counts.seconds else ""
    objects = f", {format_count(counts.objects, 'object')}" if counts.objects else ""
    images = format_count(counts.images, "image")
    before = (
        f"; {format_count(counts.earlier, 'image was', 'images were')} done before" if counts.earlier else ""
    )
    others = f"; left out {format_count(listed.others, 'other file')}" if listed.others else ""
    yield f"predict: {images}{objects} in {format_duration(counts.seconds)}{rate}{before}{others}"
    if counts.full:
        most = request.chosen.settings["max_det"]
        yield (
            f"predict: {format_count(counts.full, 'image has', 'images have')} {most} objects, the most that "
            "--max-det allows: there may be more"
        )
    if counts.noted:
        yield f"predict: {counts.noted[0]}; so of {format_count(len(counts.noted), 'file')}"
    if listed.shortened and not {"yolo", "pictures"}.isdisjoint(request.formats):
        yield (
            f"predict: {listed.shortened[0]} is too long for the names of its results, which are cut; so of "
            f"{format_count(len(listed.shortened), 'file')}"
        )
    yield f"predict: results are in {request.output}"


def _require_all_read(request: PredictionRequest, errors: Sequence[tuple[str, str]], files: int) -> None:
    if errors:
        name, reason = errors[0]
        raise UserError(
            f"{len(errors):,} of {format_count(files, 'file')} could not be read, the first is {name} "
            f"({reason}): {request.output / UNREADABLE_FILE} lists them; all others are done"
        )
