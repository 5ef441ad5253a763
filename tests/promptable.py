"""Small untrained checkpoints of YOLOE, a text encoder as TorchScript, and a tokenizer: without downloads."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from ultralytics.nn.tasks import YOLOESegModel

FEATURES = 512
TOKENS = 16


class WordEncoder(nn.Module):
    """The mean of an embedding for each byte, of length 1: equal words have equal embeddings."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.table = nn.Embedding(256, features)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found = self.table(tokens).mean(dim=1)
        return nn.functional.normalize(found, dim=1)


def save_encoder(path: Path, *, features: int = FEATURES) -> Path:
    """Save a text encoder as MobileCLIP's is: TorchScript, from tokens to embeddings."""
    torch.manual_seed(0)
    return save_script(WordEncoder(features), path)


def save_script(module: nn.Module, path: Path) -> Path:
    """Save a module as TorchScript."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        torch.jit.save(torch.jit.script(module), str(path))
    return path


def make_tokenizer() -> SimpleNamespace:
    """Make what stands for the package clip, which is not in the lock: a token for each byte."""

    def tokenize(words: list[str], *, truncate: bool = False) -> torch.Tensor:
        for word in words:
            if len(word) > TOKENS and not truncate:
                raise RuntimeError(f"Input {word} is too long for context length {TOKENS}")
        return torch.tensor([list(word.encode().ljust(TOKENS, b"\0")[:TOKENS]) for word in words])

    return SimpleNamespace(tokenize=tokenize)


def save_promptable(path: Path, words: tuple[str, ...] = (), *, network: str = "yoloe-11n-seg.yaml") -> Path:
    """Save an untrained checkpoint of YOLOE, which was asked for some words, or for none."""
    torch.manual_seed(0)
    model = YOLOESegModel(network, verbose=False).eval()
    for name in ("cv4", "one2one_cv4"):  # untrained scores would be below every threshold
        for part in getattr(model.model[-1], name, ()):
            part.bias.data.fill_(-1.0)
    if words:
        model.set_classes(list(words), nn.functional.normalize(torch.randn(1, len(words), FEATURES), dim=-1))
    torch.save({"model": model, "train_args": {"task": "segment", "imgsz": 64}}, path)
    return path
