"""The code that each stage runs, file by file, as pipeline/code.json lists it. `make deps` writes the lists.

Left out: `config` and `compose`, since what they decide reaches a stage as values, which DVC tracks;
`__main__`, which only calls; `tracking`, since logging changes no result, and a mended log line must not
retrain a model; and what a training reports to its sweep, which ends it or not.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import grimp

from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.stages import STAGES
from pipeline.source.formats.load_readers import READER_MODULE
from pipeline.storage.code_digests import CODE_LIST, PACKAGE_FOLDER

ROOT = Path(__file__).parents[2]
LEFT_OUT = (
    "pipeline.config",
    "pipeline.compose",
    "pipeline.__main__",
    "pipeline.sweep",
    "pipeline.tracking",
    "pipeline.runtime.epoch_channel",
)
REGISTRY = "pipeline.source.formats.load_readers"
FORMATS_FOLDER = "pipeline/source/formats/"


def code_of(stage: str) -> list[str]:
    """List the files that a stage imports, directly or not, and its own."""
    graph = grimp.build_graph("pipeline", cache_dir=None)
    for module in [module for module in graph.modules if _within(module, LEFT_OUT)]:
        graph.remove_module(module)
    for name in ANNOTATION_FORMATS:  # load_readers.py imports them by name
        graph.add_import(importer=REGISTRY, imported=READER_MODULE.format(name=name))
    modules: set[str] = set()
    waiting = {f"pipeline.{stage}.stage"}
    while waiting:
        modules |= waiting
        found = {upstream for module in waiting for upstream in graph.find_upstream_modules(module)}
        packages = {package for module in modules | found for package in _packages(module)}
        waiting = (found | set(filter(_does_something, packages))) - modules
    return sorted([*map(_file, modules), *(file for module in modules for file in _beside(module))])


def render() -> str:
    """Write the lists of all stages as JSON, a line per file, so that git merges them."""
    lists = {stage: _collapse_formats(code_of(stage)) for stage in STAGES}
    lists = {stage: [file.removeprefix("pipeline/") for file in files] for stage, files in lists.items()}
    return json.dumps(lists, indent=1) + "\n"


def _collapse_formats(files: list[str]) -> list[str]:
    """List the folder of the formats as one pattern, so that a new format needs no new list."""
    if _file(REGISTRY) not in files:
        return files
    pattern = f"{FORMATS_FOLDER}**/*.py"
    return sorted({pattern if file.startswith(FORMATS_FOLDER) else file for file in files})


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _packages(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _file(module: str) -> str:
    path = Path(*module.split("."))
    return (path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")).as_posix()


def _beside(module: str) -> list[str]:
    """List what a package reads from its own folder: the templates of its pages."""
    folder = ROOT / Path(*module.split("."))
    found = (path for path in folder.glob("*") if path.suffix in {".html", ".css"})
    return [path.relative_to(ROOT).as_posix() for path in found]


def _does_something(package: str) -> bool:
    body = ast.parse((ROOT / _file(package)).read_text()).body
    return any(not isinstance(node, ast.Expr) for node in body)


if __name__ == "__main__":
    (PACKAGE_FOLDER / CODE_LIST).write_text(render(), "utf-8")
