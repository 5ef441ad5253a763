"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from pipeline.core.defects import Kind

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
BARRED = {"utils", "helpers", "common", "base", "manager", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_stays_readable(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    assert path.stem not in BARRED
    assert ast.get_docstring(ast.parse(path.read_text())), "the first line says what the module is for"


def test_every_kind_of_defect_is_explained():
    explained = (ROOT / "docs/decisions/defects.md").read_text()
    assert [kind for kind in get_args(Kind) if f"`{kind}`" not in explained] == []


def test_the_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?m)(?:^\s*|`)make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert named <= targets


def test_every_target_is_phony_and_explained():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE)
    assert phony
    assert set(phony.group(1).split()) == set(explained)


def test_no_package_index_is_named():
    for path in ("requirements.lock", "pyproject.toml", "Makefile", ".ci/run"):
        assert not re.search(r"(?<!no-emit-)index-url|pypi\.org", (ROOT / path).read_text()), path
