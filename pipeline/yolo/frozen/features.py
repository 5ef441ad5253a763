"""Compute the outputs of frozen layers once per image, and reuse them in later epochs.

A layer counts as frozen here if Ultralytics does not train its weights and does not update its BatchNorm
statistics. Val images never change; train images do not change where nothing is augmented online. The first
epoch runs as usual, and the outputs of the last frozen layers are stored. Each later epoch starts from these
outputs and reads no image. A resumed training stores them again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from pipeline.yolo.frozen.model import BatchIndices, find_layers_read_later, measure_output_bytes
from pipeline.yolo.frozen.store import CacheLimits, FeatureStore, measure_cache_limits, reserve_bytes
from pipeline.yolo.unwrap import unwrap_student

LOG = logging.getLogger("ultralytics")

COLORS_AND_FLIPS: Final = ("hsv_h", "hsv_s", "hsv_v", "flipud", "fliplr", "scale")
VARYING_CLASSIFY_ARGUMENTS: Final = ("auto_augment", "erasing", *COLORS_AND_FLIPS)
"""Arguments that change the images of classify in each epoch. `scale`: even a small crop moves the pixels."""
VARYING_OBJECT_ARGUMENTS: Final = (
    *("mosaic", "mixup", "cutmix", "copy_paste", "degrees", "translate", "shear", "perspective"),
    *("bgr", "multi_scale", *COLORS_AND_FLIPS),
)
"""The same for images with objects."""


def explain_no_features(trainer: Any) -> str:
    """Explain why a training cannot reuse outputs of frozen layers; empty where it can.

    Args:
        trainer: With its job, arguments and device.
    """
    job, arguments = trainer.job, trainer.args
    if not job.fast:
        return "finetune.fast=false"
    if job.fast != "gpu" and trainer.device.type != "cpu":
        return "finetune.fast=true on a GPU"
    if job.gradual:
        return "layers open gradually"
    if getattr(trainer, "world_size", 1) > 1:
        return "several processes"
    if not arguments.freeze:
        return "no layer is frozen"
    whole_network = (name for name in ("compile", "distill_model") if getattr(arguments, name))
    return next((f"{name}={getattr(arguments, name)}" for name in whole_network), "")


def attach_feature_stores(trainer: Any, limits: CacheLimits | None) -> dict[str, str]:
    """Attach a store for the outputs of the frozen layers to the datasets of both splits, where possible.

    Args:
        trainer: With its loaders just built, layers frozen.
        limits: How much each split may use; None for shares of what is free.

    Returns:
        For the record: where the outputs of each split are stored, or why they are not.
    """
    model, why = unwrap_student(trainer.model), explain_no_features(trainer)
    end = 0 if why else count_frozen_layers(model, trainer.freeze_layer_names)
    if why or not end:
        return dict.fromkeys(("frozen_features", "frozen_features_val"), f"off: {why or 'layer 0 learns'}")
    layers = find_layers_read_later(list(model.model), end)
    stored = {}
    for split, loader in (("train", trainer.train_loader), ("val", trainer.test_loader)):
        why = find_varying_argument(trainer.args) if split == "train" else ""
        stored[split] = f"off: {why}" if why else _attach_store(trainer, loader, layers, limits=limits)
    LOG.info(
        f"frozen layers 0 to {end - 1}, computed once per image: train {stored['train']}, val {stored['val']}"
    )
    return {"frozen_features": stored["train"], "frozen_features_val": stored["val"]}


def count_frozen_layers(model: Any, names: list[str]) -> int:
    """Count the layers from the first on that cannot change.

    Args:
        model: The network.
        names: The trainer's `freeze_layer_names`: layers whose BatchNorm statistics do not change.
    """
    end = 0
    for layer in model.model:
        if not _is_frozen(layer, names):
            break
        if any(True for _ in layer.parameters()):
            end = layer.i + 1
    return end


def find_varying_argument(arguments: Any) -> str:
    """Name an argument that changes the train images in each epoch; empty where none does."""
    names = VARYING_CLASSIFY_ARGUMENTS if arguments.task == "classify" else VARYING_OBJECT_ARGUMENTS
    return next((f"{name}={getattr(arguments, name)}" for name in names if getattr(arguments, name)), "")


def estimate_mask_bytes(dataset: Any, arguments: Any, input_sizes: Sequence[tuple[int, int]]) -> int:
    """Return an upper bound of the bytes of the masks in all samples of segment; they are kept in memory.

    Args:
        dataset: Of a split.
        arguments: The trainer's namespace.
        input_sizes: Height and width of each image at the network's input.
    """
    if arguments.task != "segment":
        return 0
    cells = (math.prod(side // arguments.mask_ratio for side in size) for size in input_sizes)
    counts = (4 if arguments.overlap_mask else len(label["cls"]) for label in dataset.labels)
    return sum(cell * (4 + count) for cell, count in zip(cells, counts, strict=True))  # 4: classes, in fp32


def attach_batch_indices(batch: dict[str, Any], model: Any, dataset: Any) -> dict[str, Any]:
    """Give the model the image indices of the next batch.

    Where the outputs are stored, the batch's images are replaced by tensors that have a shape and no memory:
    the metrics need the shape.
    """
    store: FeatureStore | None = dataset.feature_store
    if store is not None:
        indices = [int(index) for index in batch["index"]]
        model.next_batch = BatchIndices(store, indices)
        if store.is_complete:
            batch["img"] = torch.empty(len(indices), 3, *store.input_sizes[indices[0]], device="meta")
    return batch


def attach_to_validator(validator: Any, trainer: Any) -> None:
    """Let a validator give the averaged model the indices of each batch, as the trainer does in training."""
    preprocess = validator.preprocess
    validator.preprocess = lambda batch: attach_batch_indices(
        preprocess(batch), trainer.ema.ema, validator.dataloader.dataset
    )


def release_decoded_images(trainer: Any) -> None:
    """Release decoded images that no later epoch reads."""
    for loader in (trainer.train_loader, trainer.test_loader):
        if loader.dataset.feature_store is not None and loader.dataset.feature_store.is_complete:
            loader.dataset.release_images()


def _attach_store(trainer: Any, loader: Any, layers: frozenset[int], *, limits: CacheLimits | None) -> str:
    input_sizes = _input_sizes(loader.dataset, trainer.args.imgsz)
    with _autocast(trainer, train=loader is trainer.train_loader):
        model = unwrap_student(trainer.model)
        size = measure_output_bytes(model, layers, input_sizes, device=trainer.device)
    if size is None:
        return "off: this network's layers hand on more than tensors"
    folder, mask_bytes = trainer.job.folder, estimate_mask_bytes(loader.dataset, trainer.args, input_sizes)
    limits = limits or measure_cache_limits(folder, trainer.device)
    if getattr(trainer, "_oom_retries", 0):  # the GPU has no memory to spare
        limits = limits._replace(gpu=0)
    storage = reserve_bytes(
        size, extra_memory=mask_bytes, folder=folder, limits=limits, device=trainer.device
    )
    if storage is None:
        places = "the GPU" if trainer.device.type == "cuda" else "memory and disk"
        return f"off: {(size + mask_bytes) / 1e9:.1f} GB are too much for {places}"
    loader.dataset.feature_store = FeatureStore(input_sizes, layers, storage=storage)
    loader.num_workers, loader.prefetch_factor = 0, None  # worker processes would read only the first epoch
    masks = f", masks {mask_bytes / 1e6:.0f} MB" if mask_bytes else ""
    return f"{storage.place} {size / 1e6:.0f} MB{masks}"


def _autocast(trainer: Any, *, train: bool) -> Any:
    if trainer.device.type == "cpu":
        return torch.autocast("cpu", torch.bfloat16, enabled=trainer.bf16_on_cpu and train)
    low = torch.bfloat16 if trainer.args.amp == "bf16" else torch.float16
    return torch.autocast(trainer.device.type, low, enabled=trainer.amp)


def _input_sizes(dataset: Any, pixels: int) -> list[tuple[int, int]]:
    if getattr(dataset, "rect", False):
        return [(int(height), int(width)) for height, width in dataset.batch_shapes[dataset.batch]]
    return [(pixels, pixels)] * len(dataset)


def _is_frozen(layer: Any, names: list[str]) -> bool:
    if any(parameter.requires_grad for parameter in layer.parameters()):
        return False
    batch_norms = (
        f"model.{layer.i}.{name}" for name, part in layer.named_modules() if isinstance(part, nn.BatchNorm2d)
    )
    return all(any(name in batch_norm for name in names) for batch_norm in batch_norms)
