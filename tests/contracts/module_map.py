"""The map of pipeline/ in docs/architecture.md, from the first docstring lines. `make map` writes it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- map: written by `make map` -->", "<!-- end of the map -->"
ORDER = (
    *("commands", "sweep", "compose"),
    *("prepare", "augment", "finetune", "evaluate"),
    *("source", "yolo", "tracking", "visualize"),
    *("dataset", "config", "runtime", "storage", "core"),
)
"""Packages as the layers in pyproject.toml have them, the highest first."""


def render_map() -> str:
    """Return the map: a heading per package, a line per module, subpackages after their package."""
    package = ROOT / "pipeline"
    top = [_describe(path, package) for path in sorted(package.glob("*.py")) if path.stem != "__init__"]
    parts = ["\n".join(top), *(_render_package(package / name, package) for name in ORDER)]
    return f"{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}"


def read_map() -> str:
    """Return the map as the page has it."""
    page = PAGE.read_text("utf-8")
    return page[page.index(BEGIN) : page.index(END) + len(END)]


def write_map() -> None:
    """Replace the map in the page."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(page.replace(read_map(), render_map()), "utf-8")


def _render_package(folder: Path, package: Path) -> str:
    lines = [f"**{folder.relative_to(package)}/** {_first_line(folder / '__init__.py')}", ""]
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    modules.sort(key=lambda path: (path.stem != "stage", path))
    lines += [_describe(path, folder) for path in modules]
    inner = sorted(path for path in folder.iterdir() if (path / "__init__.py").exists())
    return "\n\n".join(["\n".join(lines), *(_render_package(path, package) for path in inner)])


def _describe(path: Path, folder: Path) -> str:
    return f"- `{path.relative_to(folder)}` {_first_line(path)}"


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    write_map()
