"""Copy the code that merges tiles for a served model, which runs where this project is not installed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

CORE_FOLDER: Final = Path(__file__).parents[1] / "core"
MODULES: Final = (
    "arrays",
    "detections",
    "geometry/masks",
    "tiles/plan_tiles",
    "tiles/match_fragments",
    "tiles/join_parts",
    "tiles/merge_tiles",
)
"""What `merge_tiles` imports, and itself. They need numpy and shapely."""
_OWN_NAME: Final = "pipeline.core."


def copy_tile_code(folder: Path) -> Path:
    """Write the modules as a package, and return its folder, which has the package's name.

    The name holds a digest of the code, so that two models in one process never share other code than their
    own; and it is not `pipeline`, which would hide this project where both are installed.

    Args:
        folder: An existing folder, which receives the package.
    """
    texts = {name: (CORE_FOLDER / f"{name}.py").read_text("utf-8") for name in MODULES}
    digest = hashlib.sha256("".join(texts.values()).encode()).hexdigest()
    package = folder / f"finetrack_tiles_{digest[:12]}"
    for name, text in texts.items():
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name("__init__.py").touch()
        file.write_text(text.replace(_OWN_NAME, f"{package.name}."), "utf-8")
    return package
