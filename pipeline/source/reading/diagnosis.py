"""Explain why no annotation format was recognized: what was found and what was looked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.source.reading.file_tree import format_relative_path, iterate_files

_MAX_SUFFIXES: Final = 6
_MAX_DESCRIBED: Final = 4
"""Formats that are described: those of the found files first."""
_WORD_BY_SUFFIX: Final = {
    ".json": "JSON",
    ".xml": "XML",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".txt": "text files",
    ".yaml": "data.yaml",
    ".yml": "data.yaml",
}
"""Suffixes of annotation files, and the word that format descriptions use for them."""
_MAX_FILES: Final = 100_000
"""Files that are counted for the message; counting more would not make it clearer."""


def explain_unknown_format(folder: Path, signs: Mapping[str, str]) -> str:
    """Describe what was found and what was looked for; formats that use such files in more detail.

    Args:
        folder: The source folder.
        signs: What each format is recognized by, in a few words, by format name.
    """
    files = list(islice(iterate_files(folder), _MAX_FILES))
    words = {_WORD_BY_SUFFIX[suffix] for path in files if (suffix := path.suffix.lower()) in _WORD_BY_SUFFIX}
    likely = [name for name in signs if any(word in signs[name] for word in words)]
    likely = likely or [
        name for name in signs if not any(word in signs[name] for word in _WORD_BY_SUFFIX.values())
    ]
    listed = ", ".join(f"{name} ({signs[name]})" for name in likely[:_MAX_DESCRIBED])
    return (
        f"found {_describe_contents(folder, files)}; looked for {listed} and "
        f"{len(signs) - len(likely[:_MAX_DESCRIBED])} other formats (`finetrack inspect --help` lists them)"
    )


def _describe_contents(folder: Path, files: Sequence[Path]) -> str:
    """Count the files by suffix, and name the first three."""
    if not files:
        return "no files"
    counts = Counter(path.suffix.lower() or "without suffix" for path in files)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MAX_SUFFIXES]
    listed = ", ".join(f"{number} {suffix}" for suffix, number in most)
    first = ", ".join(sorted(format_relative_path(path, folder) for path in files)[:3])
    return f"{listed} (such as {first})"
