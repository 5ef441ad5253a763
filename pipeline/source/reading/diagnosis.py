"""Why no format was recognised in a folder: what is there, and what was looked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.source.reading.file_tree import files_in, relative

_MOST_SUFFIXES: Final = 6
_KINDS: Final = {
    ".json": "JSON",
    ".xml": "XML",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".txt": "text files",
    ".yaml": "data.yaml",
    ".yml": "data.yaml",
}
"""Suffixes of annotations, and the word by which LOOKED_FOR names them."""
_MOST_FILES: Final = 100_000
"""Files that are counted for a refusal; more make it no clearer."""


def explain(folder: Path, told: Mapping[str, str]) -> str:
    """Say what was found and what was looked for: at length, what such files may hold.

    Args:
        folder: The source.
        told: By what each format is recognised, in a few words.
    """
    files = list(islice(files_in(folder), _MOST_FILES))
    words = {_KINDS[suffix] for path in files if (suffix := path.suffix.lower()) in _KINDS}
    likely = [name for name in told if any(word in told[name] for word in words)]
    likely = likely or [name for name in told if not any(word in told[name] for word in _KINDS.values())]
    others = ", ".join(name for name in told if name not in likely)
    listed = ", ".join(f"{name} ({told[name]})" for name in likely)
    return (
        f"found {_contents(folder, files)}; looked for {listed}, and for {others} "
        "(`python -m pipeline inspect --help` explains them all)"
    )


def _contents(folder: Path, files: Sequence[Path]) -> str:
    """Count the files by suffix, and name the first."""
    if not files:
        return "no files"
    counts = Counter(path.suffix.lower() or "without suffix" for path in files)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_SUFFIXES]
    listed = ", ".join(f"{number} {suffix}" for suffix, number in most)
    first = ", ".join(sorted(relative(path, folder) for path in files)[:3])
    return f"{listed} (such as {first})"
