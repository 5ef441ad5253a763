"""Model class that skips its frozen first layers where their outputs are stored."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from ultralytics.nn.tasks import BaseModel

from pipeline.yolo.frozen.store import FeatureStore, align_size


class BatchIndices(NamedTuple):
    """The images of the next forward pass, and the store of their frozen outputs."""

    store: FeatureStore
    indices: Sequence[int]


class FrozenPrefixModel(BaseModel):  # type: ignore[misc]
    """A model that starts after its frozen layers, if it knows which images the next batch holds."""

    next_batch: BatchIndices | None = None

    def _predict_once(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        batch, self.next_batch = self.next_batch, None
        if batch is None:
            return super()._predict_once(x, *args, **kwargs)
        layers = list(self.model)
        end = max(batch.store.layers) + 1
        if batch.store.is_complete:
            outputs = batch.store.read_outputs(batch.indices, next(self.parameters()).device)
        else:
            outputs = _run_layers(layers[:end], {-1: x}, keep=batch.store.layers)
            batch.store.write_outputs(batch.indices, outputs)
        return _run_layers(layers[end:], outputs, keep=self.save)[len(layers) - 1]


def enable_prefix_skipping(model: torch.nn.Module) -> None:
    """Make a model able to skip its frozen layers. It skips none until `next_batch` is set."""
    model.__class__ = _frozen_prefix_class(type(model))  # type: ignore[arg-type] # a class is hashable


def restore_model_class(model: torch.nn.Module) -> None:
    """Restore the model's original class, as it belongs in a checkpoint."""
    vars(model).pop("next_batch", None)
    model.__class__ = type(model).__bases__[1]


def measure_output_bytes(
    model: Any, layers: frozenset[int], input_sizes: Sequence[tuple[int, int]], *, device: torch.device
) -> int | None:
    """Return the bytes of some layers' outputs for all images, measured with one image.

    None where an output is more than a tensor, as in YOLOv9e.

    Args:
        model: The network.
        layers: The layers whose outputs are stored.
        input_sizes: Height and width of each image: outputs grow with the area.
        device: The device of the network.
    """
    training = model.training
    model.eval()  # this forward pass must not change BatchNorm statistics
    with torch.no_grad():
        image = torch.zeros(1, 3, *input_sizes[0], device=device)
        outputs = _run_layers(list(model.model)[: max(layers) + 1], {-1: image}, keep=layers)
    model.train(training)
    if not all(isinstance(outputs[layer], torch.Tensor) for layer in layers):
        return None
    each = [(outputs[layer].nbytes, math.prod(input_sizes[0])) for layer in layers]
    return sum(
        align_size(-(-size * math.prod(shape) // area)) for shape in input_sizes for size, area in each
    )


def find_layers_read_later(layers: Sequence[Any], end: int) -> frozenset[int]:
    """Find the layers before `end` whose outputs are inputs of the layers from `end` on."""
    return frozenset(index for layer in layers[end:] for index in _input_layers(layer) if index < end)


@functools.cache
def _frozen_prefix_class(model_class: Any) -> Any:
    return type(f"Prefixed{model_class.__name__}", (FrozenPrefixModel, model_class), {})


def _input_layers(layer: Any) -> list[int]:
    """Return the indices of the layers that one layer reads; -1 is the image."""
    sources = [layer.f] if isinstance(layer.f, int) else layer.f
    return [layer.i + index if index < 0 else index for index in sources]


def _run_layers(
    layers: Sequence[Any], outputs: dict[int, torch.Tensor], *, keep: Iterable[int]
) -> dict[int, Any]:
    """Run layers as `BaseModel._predict_once` does; return the outputs of those in `keep`, and the last."""
    kept = frozenset(keep)
    needed = kept | {index for layer in layers for index in _input_layers(layer)}
    for layer in layers:
        inputs = [outputs[index] for index in _input_layers(layer)]
        result = layer(inputs[0] if isinstance(layer.f, int) else inputs)
        outputs = {index: output for index, output in outputs.items() if index in needed} | {layer.i: result}
    last = max(outputs)
    return {index: output for index, output in outputs.items() if index in kept or index == last}
