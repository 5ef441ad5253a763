"""Notice files of a source that were away while it was read, as on a network disk, and came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.core.errors import ChangedInputError
from pipeline.core.findings import Finding
from pipeline.prepare.images.check import is_about_absent_file
from pipeline.source.reading.file_tree import RecordedListings, find_changed_listings, read_head
from pipeline.storage.file_stamps import name_first_files


def refuse_vanished_files(
    listings: RecordedListings, findings: Sequence[Finding], roots: Mapping[str, Path]
) -> None:
    """Refuse a source of which a folder or a file was away while it was read, and is there now.

    Args:
        listings: The names in each folder, as they were read.
        findings: All findings about the source.
        roots: The source folders by the names that image names start with.

    Raises:
        ChangedInputError: With the first files.
    """
    away = (finding.file for finding in findings if is_about_absent_file(finding))
    changed = [file for file in away if _is_readable(file, roots)] + find_changed_listings(listings)
    if changed:
        raise ChangedInputError(
            f"{name_first_files(changed)} changed or could not be read for a while, as prepare was running: "
            "leave the images unchanged, and run `dvc repro` again"
        )


def _is_readable(file: str, roots: Mapping[str, Path]) -> bool:
    """Check whether a file can be read now. `file` starts with the name of its root, if that has one."""
    return any(
        bool(read_head(root / file.removeprefix(f"{name}/"), 1))
        for name, root in roots.items()
        if not name or file.startswith(f"{name}/")
    )
