"""A network whose frozen first layers are computed once per image."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from ultralytics.nn.tasks import BaseModel

from pipeline.yolo.frozen.store import FeatureStore, aligned


class BatchIndices(NamedTuple):
    """Which images the next forward pass is about, and where their frozen outputs are kept."""

    store: FeatureStore
    indices: Sequence[int]


class FrozenPrefixModel(BaseModel):  # type: ignore[misc]
    """A model that, told of which images the next batch is, begins where its frozen layers end."""

    turn: BatchIndices | None = None

    def _predict_once(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        turn, self.turn = self.turn, None
        if turn is None:
            return super()._predict_once(x, *args, **kwargs)
        layers = list(self.model)
        end = max(turn.store.layers) + 1
        if turn.store.complete:
            outputs = turn.store.recall(turn.indices, next(self.parameters()).device)
        else:
            outputs = _through(layers[:end], {-1: x}, keep=turn.store.layers)
            turn.store.note(turn.indices, outputs)
        return _through(layers[end:], outputs, keep=self.save)[len(layers) - 1]


def prepare(model: torch.nn.Module) -> None:
    """Make a model able to skip its frozen layers; it skips none until it is told of a turn."""
    model.__class__ = _prefixed(type(model))  # type: ignore[arg-type] # a class is hashable


def restore(model: torch.nn.Module) -> None:
    """Make it a model of the class that it was, without a trace in a checkpoint."""
    vars(model).pop("turn", None)
    model.__class__ = type(model).__bases__[1]


def size(
    model: Any, layers: frozenset[int], extents: Sequence[tuple[int, int]], *, device: torch.device
) -> int | None:
    """Return the bytes that the outputs of some layers take for all images, from a look at one.

    None where one of them is more than a tensor, as in YOLOv9e.

    Args:
        model: The network.
        layers: Those whose outputs are kept.
        extents: Height and width of each image: outputs grow with the area.
        device: Where the network is.
    """
    learning = model.training
    model.eval()  # a forward pass for its shapes alone moves no statistics
    with torch.no_grad():
        image = torch.zeros(1, 3, *extents[0], device=device)
        outputs = _through(list(model.model)[: max(layers) + 1], {-1: image}, keep=layers)
    model.train(learning)
    if not all(isinstance(outputs[layer], torch.Tensor) for layer in layers):
        return None
    each = [(outputs[layer].nbytes, math.prod(extents[0])) for layer in layers]
    return sum(aligned(-(-size * math.prod(extent) // area)) for extent in extents for size, area in each)


def read_later(layers: Sequence[Any], end: int) -> frozenset[int]:
    """Return which of the layers before `end` the layers from there on read."""
    return frozenset(index for layer in layers[end:] for index in _sources(layer) if index < end)


@functools.cache
def _prefixed(kind: Any) -> Any:
    return type(f"Prefixed{kind.__name__}", (FrozenPrefixModel, kind), {})


def _sources(layer: Any) -> list[int]:
    """Return the layers that one reads; -1 is the image."""
    given = [layer.f] if isinstance(layer.f, int) else layer.f
    return [layer.i + index if index < 0 else index for index in given]


def _through(
    layers: Sequence[Any], outputs: dict[int, torch.Tensor], *, keep: Iterable[int]
) -> dict[int, Any]:
    """Run layers as `BaseModel._predict_once` does; return what of all outputs is kept, and the last."""
    kept = frozenset(keep)
    passing = kept | {index for layer in layers for index in _sources(layer)}
    for layer in layers:
        given = [outputs[index] for index in _sources(layer)]
        result = layer(given[0] if isinstance(layer.f, int) else given)
        outputs = {index: output for index, output in outputs.items() if index in passing} | {layer.i: result}
    last = max(outputs)
    return {index: output for index, output in outputs.items() if index in kept or index == last}
