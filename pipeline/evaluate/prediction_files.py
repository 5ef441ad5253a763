"""Keep the predictions on val and test with the evaluation: reports/evaluation/predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.coco_results import PredictionWriter, open_prediction_writer
from pipeline.dataset.image_columns import ImageColumns, read_image_columns
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.stored_predictions import PredictedImage
from pipeline.evaluate.metrics.subsets.image_slices import SliceFacts, assign_slices

PREDICTIONS_FOLDER = "predictions"
"""Below reports/evaluation, and below evaluation/ of the run's artifacts."""


class PredictionRecorder:
    """Write the predictions on each split as they are made."""

    def __init__(self, writers: Mapping[str, PredictionWriter], images: Mapping[str, PredictedImage]) -> None:
        """Args: the writer of each split; the images by file."""
        self._writers = writers
        self._images = images

    def record_objects(self, item: ImageRecord, truth: GroundTruth, found: Detections) -> None:
        """Write the detections in an image with masks, and its objects."""
        self._writers[item.split].write_image(self._images[item.file], truth, found)

    def record_probabilities(self, item: ImageRecord, probabilities: FloatArray) -> None:
        """Write the class probabilities (classes,) of an image."""
        self._writers[item.split].write_probabilities(self._images[item.file], probabilities)


@contextmanager
def record_predictions(
    folder: Path, head: PredictionHead, splits: Mapping[str, Sequence[PredictedImage]]
) -> Iterator[PredictionRecorder]:
    """Yield a recorder; the files are complete after the block.

    Args:
        folder: Where to write; created.
        head: What the predictions are of.
        splits: The images of each split, in the order in which they are predicted on.
    """
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(open_prediction_writer(folder, split, head)) for split in splits
        }
        images = {image.file: image for of_split in splits.values() for image in of_split}
        yield PredictionRecorder(writers, images)


def describe_predicted_images(manifest: Manifest, split: str, root: Path = Path()) -> list[PredictedImage]:
    """Return the images of a split with numbers, groups and slices, as predictions are stored with them.

    Args:
        manifest: Of the prepared dataset.
        split: val or test.
        root: The folder with data/columns.

    Raises:
        UserError: data/columns is of another dataset, or damaged.
    """
    columns, items = read_image_columns(manifest, root), manifest.in_split(split)
    slices = assign_slices([_collect_facts(item, columns[item.file], manifest) for item in items])
    return [
        PredictedImage(
            number,
            item.file,
            item.sha256,
            item.labels_sha256,
            item.width,
            item.height,
            item.source,
            columns[item.file].group,
            cls=item.classes[0] if manifest.task == "classify" else None,
            slices=of_image,
        )
        for number, (item, of_image) in enumerate(zip(items, slices, strict=True), 1)
    ]


def _collect_facts(item: ImageRecord, columns: ImageColumns, manifest: Manifest) -> SliceFacts:
    """Collect what sorts an image into slices; the folders of classify are its classes."""
    is_classified = manifest.task == "classify"
    return SliceFacts(
        "" if is_classified else item.source,
        columns.group,
        (item.width, item.height),
        None if is_classified else len(item.classes),
        columns.brightness,
        columns.columns,
    )
