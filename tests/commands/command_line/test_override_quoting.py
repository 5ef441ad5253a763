"""The printed commands: what Hydra and a shell read is the path itself."""

from __future__ import annotations

import subprocess

import pytest
from dvc.utils.hydra import to_hydra_overrides

from pipeline.commands.command_line.override_quoting import find_unusable_text, join_command, quote_override

PATHS = [
    "/plain/path-1.0_x+y",
    "/caf\u00e9/\u56fe\u50cf",
    "/with blank/and  two",
    "/[v2] (final)/{a: b}",
    "/a,b=c~d",
    "~backup",
    '/it\'s/"quoted"',
    "/back\\slash\\",
    '/back\\"both\\\\"',
    "/$HOME/#1 & more; `x` | y > z * ?",
    "/a:b@c%d!e^f",
    "null",
    "12",
    "1e-3",
    "/trailing ",
    " /leading",
    "/no\u00a0break\u202fblanks\u2028\ufeff",
    "'",
    '"',
    "\\",
]


def parse(override):
    (parsed,) = to_hydra_overrides([override])
    assert not parsed.is_sweep_override()
    return parsed.key_or_group, parsed.value()


@pytest.mark.parametrize("path", PATHS)
def test_hydra_reads_the_path_as_it_is(path):
    assert parse(quote_override("data.source", path)) == ("data.source", path)


def test_hydra_reads_a_list_of_paths():
    assert parse(quote_override("data.source", PATHS)) == ("data.source", PATHS)
    assert parse(quote_override("data.source", ["a"])) == ("data.source", ["a"])


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_splits_the_command_into_its_words(shell):
    words = ["printf", "%s\\0", *PATHS, quote_override("data.source", PATHS)]
    done = subprocess.run([shell, "-c", join_command(words)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[:-1] == words[2:]


def test_a_plain_path_is_not_quoted():
    assert join_command([quote_override("data.source", PATHS[0])]) == f"data.source={PATHS[0]}"


@pytest.mark.parametrize(
    ("path", "usable"), [("/a$b", True), ("/${x}", False), ("/x\n", False), ("/\udce9", False)]
)
def test_texts_that_no_configuration_can_hold_are_found(path, usable):
    assert (find_unusable_text(path) == "") == usable
