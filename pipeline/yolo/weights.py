"""Find, download, check and load base weights, without running code from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from filelock import FileLock
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import downloads

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_full_disk, describe_machine_error, is_disk_full
from pipeline.storage.base_weights import find_base_weights
from pipeline.storage.checksums import check_sha256, read_listed_sha256
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import create_scratch_folder, project_root
from pipeline.storage.verified_copy import temporary_copy

WEIGHTS_ADVICE: Final = (
    "give model.weights a path, name a folder that holds it in model.folder, or use model=foundation"
)
RELEASES_URL: Final = f"https://github.com/{downloads.GITHUB_ASSETS_REPO}"


class AssetKind(NamedTuple):
    """A kind of file that Ultralytics offers for download.

    Attributes:
        what: Its name in messages.
        advice: What to do where it is absent.
        check: Called with a fetched file; raises UserError where it is not one of this kind.
        sha256_key: The key of the configuration that states its SHA-256; None if there is none.
    """

    what: str
    advice: str
    check: Callable[[Path], object]
    sha256_key: str | None = None


def find_weights(weights: str, *, folder: str | None, sha256: str | None) -> Path:
    """Find base weights. Official weights are downloaded where they are not on this machine.

    Args:
        weights: A path, or a name such as yolo26n.pt.
        folder: A folder of weights, or None.
        sha256: The SHA-256 that the file must have, or None: then a list SHA256SUMS may name the file.

    Raises:
        UserError: They were not found, or are not the expected file.
    """
    kind = AssetKind("base weights", WEIGHTS_ADVICE, load_weights, sha256_key="model.sha256")
    return find_asset(weights, folder, kind, sha256=sha256)


def find_asset(name: str, folder: str | None, kind: AssetKind, *, sha256: str | None = None) -> Path:
    """Find a file that Ultralytics offers. It is downloaded where it is not on this machine.

    Args:
        name: A path, or the name of such a file.
        folder: A folder of weights, or None.
        kind: Of the file.
        sha256: See `find_weights`.

    Raises:
        UserError: It was not found, or is not the expected file.
    """
    path = find_base_weights(name, folder) or _download(name, folder, kind)
    listed = read_listed_sha256(name, path)
    check_sha256(hash_file(path), what=str(path), stated=sha256, listed=listed, key=kind.sha256_key)
    return path


def load_weights(path: Path, *, sha256: str | None = None, advice: str = WEIGHTS_ADVICE) -> Any:
    """Load a checkpoint as an fp32 model.

    Args:
        path: The file.
        sha256: The SHA-256 that the loaded bytes must have, or None.
        advice: What to do where the file cannot be used.

    Raises:
        UserError: The file is no intact Ultralytics checkpoint, or another one than expected.
    """
    if path.suffix != ".pt":
        raise UserError(f"{path} is no Ultralytics checkpoint, whose name would end in .pt: {advice}")
    try:
        with temporary_copy(path, sha256=sha256) as copy:
            model, _ = load_checkpoint(copy)
    except UserError:
        raise
    except Exception as error:  # a foreign file can make the reader raise anything
        if describe_machine_error(error):  # such as a full disk: it says nothing about the file
            raise
        raise UserError(
            f"{path} is no Ultralytics checkpoint ({_explain_load_error(error)}): {advice}"
        ) from None
    if not isinstance(getattr(model, "yaml", None), dict):
        raise UserError(f"{path} holds a {type(model).__name__}, not a YOLO model: {advice}")
    return model


def _download(name: str, folder: str | None, kind: AssetKind) -> Path:
    if name not in downloads.GITHUB_ASSETS_NAMES:
        places = f"{name}{f' and {folder}' if folder else ''} from {project_root()}"
        raise UserError(
            f"the {kind.what} are not there ({places}), and Ultralytics has none of that name: {kind.advice}"
        )
    target = create_scratch_folder("weights") / name
    if target.is_file():
        return target
    try:
        return fetch_once(target, _fetch_release, kind.check)
    except (OSError, MemoryError) as error:
        if is_disk_full(error):
            raise UserError(describe_full_disk(target)) from None
        if isinstance(error, MemoryError):
            raise
        raise UserError(f"{name} is not on this machine and could not be downloaded: {kind.advice}") from None


def fetch_once(
    target: Path, fetch: Callable[[Path], object], check: Callable[[Path], object] = load_weights
) -> Path:
    """Fetch a file once, even if several processes ask for it; only one that passes a check is kept.

    Args:
        target: The final path.
        fetch: Writes the file to the path that it is given; its file name is that of the target.
        check: Raises UserError where the file cannot be used.

    Raises:
        UserError: The fetched file cannot be used.
    """
    with FileLock(create_scratch_folder("locks") / f"{target.name}.lock"):
        if target.is_file():
            return target
        with TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / target.name
            fetch(part)
            check(part)
            return part.replace(target)


def _fetch_release(path: Path) -> None:
    if not downloads.is_url(RELEASES_URL, check=True):  # 3 s; the download itself would wait minutes
        raise ConnectionError
    downloads.attempt_download_asset(os.path.relpath(path), retry=1)  # it changes some absolute paths


def _explain_load_error(error: Exception) -> str:
    text = str(error)
    if any(sign in text for sign in ("truncated", "PytorchStreamReader", "EOF", "Ran out of input")):
        return "it is cut short or damaged, or another kind of file"
    if "outside the supported" in text:
        return "it holds something other than a model, and code in it is not executed"
    return f"it is another kind of file: {type(error).__name__}"
