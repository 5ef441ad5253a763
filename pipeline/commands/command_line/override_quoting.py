"""Quote values for Hydra's override grammar and for a shell, so that a command can be copied as it is."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Sequence

from pipeline.commands.command_line.override_words import parse_key
from pipeline.config.override_text import quote_override_text
from pipeline.config.source_paths import list_source_paths


def quote_override(key: str, value: str | Sequence[str]) -> str:
    """Return the Hydra override that sets a key to exactly this text, or to this list of texts.

    Quotes are added only where Hydra needs them.
    """
    quoted = [quote_override_text(text) for text in list_source_paths(value)]
    return f"{key}={quoted[0] if isinstance(value, str) else '[' + ','.join(quoted) + ']'}"


def build_use_command(paths: str | Sequence[str], form: str, overrides: Sequence[str] = ()) -> str:
    """Return the command that uses a source for all runs; empty if conf/ cannot hold its path."""
    if any(map(find_unusable_text, list_source_paths(paths))):
        return ""
    words = ["finetrack", "use", *list_source_paths(paths), *overrides]
    return join_command(words if form == "auto" else [*words, "--format", form])


def build_run_command(source: str | Sequence[str], form: str, overrides: Sequence[str] = ()) -> str:
    """Return the command that runs the pipeline on a source once; empty if conf/ cannot hold its path."""
    if any(map(find_unusable_text, list_source_paths(source))):
        return ""
    group = [] if any(parse_key(word) == "data" for word in overrides) else ["data=auto"]
    chosen = [] if form == "auto" else [f"data.format={form}"]
    settings = [*group, quote_override("data.source", source), *chosen, *overrides]
    return join_command(["dvc", "exp", "run", *(word for item in settings for word in ("-S", item))])


def join_command(words: Sequence[str]) -> str:
    """Return the command line that a shell splits into these words."""
    return shlex.join(words)


def find_unusable_text(value: str) -> str:
    """Return why a path cannot be a value in conf/; empty if it can."""
    if "${" in value:
        return "it contains ${, which starts a reference in conf/"
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in value):
        return "it contains bytes that are no UTF-8, or control characters"
    return ""
