"""Base weights: found, downloaded, checked, and read without running code from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from filelock import FileLock
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import downloads

from pipeline.core.errors import UserError
from pipeline.storage import base_weights, files
from pipeline.storage.files import project_root

WAYS_ON: Final = (
    "give model.weights a path, name a folder that holds it in model.folder, or use model=foundation"
)
SITE: Final = f"https://github.com/{downloads.GITHUB_ASSETS_REPO}"


def resolve(weights: str, *, folder: str | None, sha256: str | None) -> Path:
    """Find base weights, downloading official ones where they are not on this machine.

    Args:
        weights: A path, or a name such as yolo26n.pt.
        folder: A folder of weights, or None.
        sha256: What the file must hash to, or None.

    Raises:
        Refused: They are nowhere, or are not the expected file.
    """
    path = base_weights.locate(weights, folder) or _download(weights, folder)
    found = files.sha256(path)
    if sha256 is not None and found != sha256:
        raise UserError(
            f"{path} is not the expected file: its SHA-256 is {found}, model.sha256 says {sha256}; "
            "replace the file, or set model.sha256=null if it is the one you want"
        )
    return path


def load(path: Path) -> Any:
    """Read a checkpoint as an fp32 model.

    Raises:
        Refused: It is no sound Ultralytics checkpoint.
    """
    if path.suffix != ".pt":
        raise UserError(f"{path} is no Ultralytics checkpoint, whose name would end in .pt: {WAYS_ON}")
    try:
        model, _ = load_checkpoint(str(path))
    except Exception as error:  # whatever a foreign file makes of the readers: one sentence
        raise UserError(f"{path} is no Ultralytics checkpoint ({_reason(error)}): {WAYS_ON}") from None
    if not isinstance(getattr(model, "yaml", None), dict):
        raise UserError(f"{path} holds a {type(model).__name__}, not a YOLO model: {WAYS_ON}")
    return model


def _download(weights: str, folder: str | None) -> Path:
    if weights not in downloads.GITHUB_ASSETS_NAMES:
        places = f"{weights}{f' and {folder}' if folder else ''} from {project_root()}"
        raise UserError(
            f"the base weights are not there ({places}), and Ultralytics has none of that name: {WAYS_ON}"
        )
    target = files.scratch("weights") / weights
    if target.is_file():
        return target
    try:
        return keep(target, _fetch)
    except OSError:
        raise UserError(f"{weights} is not on this machine and could not be downloaded: {WAYS_ON}") from None


def keep(target: Path, fetch: Callable[[Path], object]) -> Path:
    """Fetch a checkpoint once, whichever processes ask for it, and give it its name when it is known to load.

    Args:
        target: Where it goes.
        fetch: Writes a file to the path it is given, whose name is the target's.

    Raises:
        Refused: What came is no checkpoint.
    """
    with FileLock(files.scratch("locks") / f"{target.name}.lock"):
        if target.is_file():
            return target
        with TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / target.name
            fetch(part)
            load(part)
            return part.replace(target)


def _fetch(path: Path) -> None:
    if not downloads.is_url(SITE, check=True):  # three seconds; the download itself would wait minutes
        raise ConnectionError
    downloads.attempt_download_asset(path, retry=1)


def _reason(error: Exception) -> str:
    said = str(error)
    if any(sign in said for sign in ("truncated", "PytorchStreamReader", "EOF", "Ran out of input")):
        return "it is cut short or damaged, or another kind of file"
    if "outside the supported" in said:
        return "it holds something else than a model, which is not executed to find out what"
    return f"it is another kind of file: {type(error).__name__}"
