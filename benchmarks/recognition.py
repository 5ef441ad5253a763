"""List how each dataset is recognized: format, task, images, objects, and what `finetrack inspect` says.

    python benchmarks/recognition.py DIR... [--inside DIR...]

Prints a table in Markdown: a row for each DIR, and for each folder in a DIR of --inside. A dataset that is
refused has the refusal in place of the counts. docs/results-data.md has the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.commands.data.inspect import inspect_source
from pipeline.core.errors import UserError
from pipeline.core.text import format_count

_MAX_CHARACTERS: Final = 170
"""Of what was said, in a row."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--inside", nargs="*", type=Path, default=[], metavar="DIR")
    asked = parser.parse_args()
    print("| dataset | read as | images used of found | objects, classes | what was said |")
    print("|---|---|---|---|---|")
    for name, folder in _list_folders(asked.folders, asked.inside):
        print(f"| {' | '.join((name, *_describe(folder)))} |", flush=True)


def _list_folders(folders: Sequence[Path], inside: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        yield folder.name, folder
    for outer in inside:
        for folder in sorted(path for path in outer.iterdir() if path.is_dir()):
            yield f"{outer.name}: {folder.name}", folder


def _describe(folder: Path) -> tuple[str, ...]:
    try:
        found = inspect_source([folder])
    except UserError as error:
        return "refused", "", "", _shorten(str(error), folder)
    objects = {name for split in found.objects.values() for name, number in split.items() if number}
    total = sum(sum(split.values()) for split in found.objects.values())
    said = list(found.remarks)
    if found.defects:
        said.append(format_count(len(found.defects), "finding"))
    if found.refusal:
        said.append(f"prepare would stop: {found.refusal}")
    return (
        f"{found.form}, {found.task}",
        f"{found.used} of {found.found}",
        f"{total}, {len(objects)}",
        _shorten("; ".join(said), folder),
    )


def _shorten(text: str, folder: Path) -> str:
    """Shorten for a table: one line, without the path of this machine."""
    for path in (Path.cwd() / folder, folder.resolve(), folder):
        text = text.replace(f"{path}/", "").replace(str(path), folder.name)
        text = text.replace(f"{path.parent}/", "")
    line = " ".join(text.replace("|", "/").split())
    return line if len(line) <= _MAX_CHARACTERS else f"{line[: _MAX_CHARACTERS - 2]} …"


if __name__ == "__main__":
    main()
