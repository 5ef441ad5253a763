"""Read the splits of lists such as ImageSets/train.txt, which name an image per line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import list_files
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import list_entry_paths
from pipeline.source.reading.parsing import UnreadableFileError, load_text
from pipeline.source.split_lists import SplitList, SplitLists
from pipeline.source.types import find_split_in_name


def apply_image_sets(
    folder: Path, entries: Sequence[ImageAnnotations], labels: Collection[Path], images: ImageIndex
) -> tuple[list[ImageAnnotations], tuple[str, ...]]:
    """Assign the splits that lists of images state; trainval.txt states none.

    The official test.txt counts the images of testing/, which have the names of those in training/: a list
    with names of another list is left aside if it is that of the test images.

    Args:
        folder: The source folder.
        entries: The annotations of each image.
        labels: The label files, which are no lists.
        images: The images of the source.

    Returns:
        The annotations with their splits; and what the user should know about the lists.
    """
    stems = {entry.file.stem for entry in entries}
    texts = [path for path in list_files(folder, ".txt") if path not in labels]
    lists = [
        SplitList(path, split, [[name] for name in names])
        for path in texts
        if (split := find_split_in_name(path.stem)) and (names := _read_names(path, stems))
    ]
    tested, others = (
        {name for one in lists if (one.split == "test") is is_test for [name] in one.rows}
        for is_test in (True, False)
    )
    if others & tested:
        lists = [one for one in lists if one.split != "test"]
    if not lists:
        return list(entries), ()
    named = SplitLists(folder, lists)
    splits = named.find_splits([list_entry_paths(entry, images, folder) for entry in entries])
    assigned = [entry._replace(split=split) for entry, split in zip(entries, splits, strict=True)]
    return assigned, named.list_remarks()


def _read_names(path: Path, stems: Collection[str]) -> list[str]:
    """Return the paths without suffix that a list states, of images with one of the names."""
    try:
        text, _ = load_text(path)
    except UnreadableFileError:
        return []
    lines = (line.replace("\\", "/").split() for line in text.splitlines())
    paths = (PurePosixPath(fields[0]) for fields in lines if len(fields) == 1)
    return [str(name.with_suffix("")) for name in paths if name.stem in stems]
