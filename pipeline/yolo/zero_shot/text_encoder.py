"""Encode words with MobileCLIP's text encoder, as Ultralytics' YOLOE does, but from a file that was checked.

Ultralytics' own class downloads the file to the working folder, and runs pip for the tokenizer's package. The
file is TorchScript, so a program: one that uses files or networks is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.storage.verified_copy import temporary_copy
from pipeline.yolo.inference.torchscript_code import require_tensor_code
from pipeline.yolo.weights import AssetKind, find_asset

ENCODER_FILES: Final = {"mobileclip": "mobileclip_blt.ts", "mobileclip2": "mobileclip2_b.ts"}
"""Ultralytics' files, by the text model that a checkpoint of YOLOE names."""
DEFAULT_TEXT_MODEL: Final = "mobileclip:blt"
"""That of a checkpoint that names none."""
TOKENIZER_PACKAGE: Final = "git+https://github.com/ultralytics/CLIP.git"
_ADVICE: Final = "give zero_shot.text_encoder a path"


def find_text_encoder(text_model: str, wanted: str | None, *, weights: Path, folder: str | None) -> Path:
    """Find the file of a text encoder. Ultralytics' own one is downloaded where it is not on this machine.

    Args:
        text_model: That the checkpoint names, such as mobileclip:blt.
        wanted: A path, or a name; None for Ultralytics' file of the text model.
        weights: The checkpoint: the encoder may lie beside it.
        folder: A folder of weights, or None.

    Raises:
        UserError: It was not found, is not the expected file, or the text model is of another kind.
    """
    name = wanted or ENCODER_FILES.get(text_model.partition(":")[0])
    if name is None:
        raise UserError(
            f"{weights} was trained with the text encoder {text_model}, which is not supported: choose a "
            f"checkpoint of {' or '.join(ENCODER_FILES)}"
        )
    beside = weights.parent / name
    is_beside = wanted is None and beside.is_file()
    return find_asset(
        str(beside.resolve()) if is_beside else name,
        folder,
        AssetKind("weights of the text encoder", _ADVICE, load_text_encoder),
    )


def import_tokenizer() -> Callable[..., torch.Tensor]:
    """Return the tokenizer of CLIP, which the text encoders were trained with.

    Raises:
        UserError: Its package is not installed.
    """
    try:
        from clip import tokenize  # type: ignore[import-not-found]
    except ImportError as error:  # other packages have this name, too
        raise UserError(
            f"words become tokens by Ultralytics' package clip, which cannot be imported ({error}): "
            f"`pip install {TOKENIZER_PACKAGE}`, or use a checkpoint in which the classes are set already"
        ) from None
    found: Callable[..., torch.Tensor] = tokenize
    return found


def encode_words(encoder: Path, words: Sequence[str]) -> torch.Tensor:
    """Return the embeddings (1, words, features) of words, each of length 1.

    Args:
        encoder: The TorchScript file of a text encoder.
        words: One or more.

    Raises:
        UserError: The file is no such encoder, or a text is longer than it reads.
    """
    tokens, network = _tokenize(words), load_text_encoder(encoder)
    with _explain_errors(encoder), torch.no_grad():
        found: torch.Tensor = network(tokens).float()
    if found.ndim != 2 or len(found) != len(words) or not torch.isfinite(found).all():
        raise UserError(f"{encoder} gives no embedding for each text: {_ADVICE}")
    return found[None]


def load_text_encoder(encoder: Path) -> Any:
    """Load a text encoder, a TorchScript file whose code touches tensors alone.

    Raises:
        UserError: It is another kind of file, or its code uses files or a network.
    """
    with temporary_copy(encoder) as copy, warnings.catch_warnings(), _explain_errors(encoder):
        require_tensor_code(Path(copy), name=str(encoder))
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        loader: Any = torch.jit  # it has no types
        return loader.load(copy, map_location="cpu")


@contextmanager
def _explain_errors(encoder: Path) -> Iterator[None]:
    """Turn what torch raises about a foreign file into one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if describe_machine_error(error):
            raise
        reason = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        raise UserError(f"{encoder} is no text encoder ({reason}): {_ADVICE}") from None


def _tokenize(words: Sequence[str]) -> torch.Tensor:
    try:
        return import_tokenizer()(list(words))
    except RuntimeError as error:  # CLIP's tokenizer refuses more than 77 tokens so
        raise UserError(f"zero_shot.prompts: {error}: use fewer words for a class") from None
