"""Nothing is computed twice that cannot change: what the frozen layers say of an image that stays as it is.

Layers are frozen here whose weights Ultralytics does not train and whose BatchNorm statistics it does not
move. Val images never change, train images not where nothing is augmented online. The first epoch runs as
ever, and the outputs of the last frozen layers are noted as they come by; each later epoch begins there and
reads no image. A resumed training notes them anew.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from pipeline.yolo.frozen import model as frozen_model
from pipeline.yolo.frozen import store as frozen_store
from pipeline.yolo.frozen.model import BatchIndices, read_later
from pipeline.yolo.frozen.store import CacheLimits, FeatureStore
from pipeline.yolo.job import TrainingJob
from pipeline.yolo.unwrap import student

LOG = logging.getLogger("ultralytics")

COLOURS_AND_FLIPS: Final = ("hsv_h", "hsv_s", "hsv_v", "flipud", "fliplr", "scale")
OF_IMAGES: Final = ("auto_augment", "erasing", *COLOURS_AND_FLIPS)
"""Arguments that draw a classification's images anew each epoch; else a crop may move by a pixel."""
OF_OBJECTS: Final = (
    *("mosaic", "mixup", "cutmix", "copy_paste", "degrees", "translate", "shear", "perspective"),
    *("bgr", "multi_scale", *COLOURS_AND_FLIPS),
)
"""The same for images with objects."""


def hindrance(job: TrainingJob, arguments: Any) -> str:
    """Say what keeps a training from having frozen layers to skip; nothing where none does."""
    if not job.fast:
        return "finetune.fast=false"
    if job.gradual:
        return "layers open gradually"
    if not arguments.freeze:
        return "no layer is frozen"
    whole = (name for name in ("compile", "distill_model") if getattr(arguments, name))
    return next((f"{name}={getattr(arguments, name)}" for name in whole), "")


def attach(trainer: Any, room: CacheLimits | None) -> dict[str, str]:
    """Give the images of both splits a place for what the frozen layers say of them.

    Args:
        trainer: With its loaders just built, layers frozen.
        room: How much each split may take; None for shares of what is free.

    Returns:
        What is kept where, or why not, for the record.
    """
    model, why = student(trainer.model), hindrance(trainer.job, trainer.args)
    end = 0 if why else prefix(model, trainer.freeze_layer_names)
    if why or not end:
        return dict.fromkeys(("frozen_features", "frozen_features_val"), f"off: {why or 'layer 0 learns'}")
    layers = read_later(list(model.model), end)
    places = {}
    for split, loader in (("train", trainer.train_loader), ("val", trainer.test_loader)):
        why = varying(trainer.args) if split == "train" else ""
        places[split] = (
            f"off: {why}" if why else _attach(trainer, loader, layers, train=split == "train", room=room)
        )
    LOG.info(
        f"frozen layers 0 to {end - 1}, computed once per image: train {places['train']}, val {places['val']}"
    )
    return {"frozen_features": places["train"], "frozen_features_val": places["val"]}


def prefix(model: Any, names: list[str]) -> int:
    """Count the layers from the first on that cannot change.

    Args:
        model: The network.
        names: The trainer's `freeze_layer_names`, which hold the BatchNorm statistics.
    """
    end = 0
    for layer in model.model:
        if not _fixed(layer, names):
            break
        if any(True for _ in layer.parameters()):
            end = layer.i + 1
    return end


def varying(arguments: Any) -> str:
    """Name an argument that shows the network another image in each epoch; nothing where none does."""
    names = OF_IMAGES if arguments.task == "classify" else OF_OBJECTS
    return next((f"{name}={getattr(arguments, name)}" for name in names if getattr(arguments, name)), "")


def masks(dataset: Any, arguments: Any, extents: Sequence[tuple[int, int]]) -> int:
    """Return the bytes at most of the masks in all samples of a segmentation, which are noted in memory.

    Args:
        dataset: Of a split.
        arguments: The trainer's namespace.
        extents: Height and width of each image as it enters the network.
    """
    if arguments.task != "segment":
        return 0
    cells = (math.prod(side // arguments.mask_ratio for side in extent) for extent in extents)
    counts = (4 if arguments.overlap_mask else len(label["cls"]) for label in dataset.labels)
    return sum(cell * (4 + count) for cell, count in zip(cells, counts, strict=True))  # 4: classes, in fp32


def hand_over(batch: dict[str, Any], model: Any, dataset: Any) -> dict[str, Any]:
    """Tell the model which images a batch is about, before it gets them.

    An image that need not be looked at has a shape, and no memory: the metrics ask for its size.
    """
    store: FeatureStore | None = dataset.store
    if store is not None:
        indices = [int(index) for index in batch["index"]]
        model.turn = BatchIndices(store, indices)
        if store.complete:
            batch["img"] = torch.empty(len(indices), 3, *store.extents[indices[0]], device="meta")
    return batch


def watch(validator: Any, trainer: Any) -> None:
    """Have a validator tell the averaged model, as the trainer tells the one that learns."""
    preprocess = validator.preprocess
    validator.preprocess = lambda batch: hand_over(
        preprocess(batch), trainer.ema.ema, validator.dataloader.dataset
    )


def forget_images(trainer: Any) -> None:
    """Let go of decoded images that nobody will look at again."""
    for loader in (trainer.train_loader, trainer.test_loader):
        if loader.dataset.store is not None and loader.dataset.store.complete:
            loader.dataset.forget_images()


def _attach(
    trainer: Any, loader: Any, layers: frozenset[int], *, train: bool, room: CacheLimits | None
) -> str:
    extents = _extents(loader.dataset, trainer.args.imgsz)
    with _autocast(trainer, train=train):
        size = frozen_model.size(student(trainer.model), layers, extents, device=trainer.device)
    if size is None:
        return "off: this network's layers hand on more than tensors"
    folder, beside = trainer.job.folder, masks(loader.dataset, trainer.args, extents)
    room = room or frozen_store.free(folder, trainer.device)
    if getattr(trainer, "_oom_retries", 0):  # the GPU has none to spare
        room = room._replace(gpu=0)
    kept = frozen_store.reserve(size, beside=beside, folder=folder, room=room, device=trainer.device)
    if kept is None:
        places = "the GPU" if trainer.device.type == "cuda" else "memory and disk"
        return f"off: {(size + beside) / 1e9:.1f} GB are too much for {places}"
    loader.dataset.store = FeatureStore(extents, layers, kept=kept)
    loader.num_workers, loader.prefetch_factor = 0, None  # after one epoch they would have nothing to read
    return f"{kept.place} {size / 1e6:.0f} MB" + (f", masks {beside / 1e6:.0f} MB" if beside else "")


def _autocast(trainer: Any, *, train: bool) -> Any:
    if trainer.device.type == "cpu":
        return torch.autocast("cpu", torch.bfloat16, enabled=trainer.lowered and train)
    low = torch.bfloat16 if trainer.args.amp == "bf16" else torch.float16
    return torch.autocast(trainer.device.type, low, enabled=trainer.amp)


def _extents(dataset: Any, pixels: int) -> list[tuple[int, int]]:
    if getattr(dataset, "rect", False):
        return [(int(height), int(width)) for height, width in dataset.batch_shapes[dataset.batch]]
    return [(pixels, pixels)] * len(dataset)


def _fixed(layer: Any, names: list[str]) -> bool:
    if any(parameter.requires_grad for parameter in layer.parameters()):
        return False
    called = (
        f"model.{layer.i}.{name}" for name, part in layer.named_modules() if isinstance(part, nn.BatchNorm2d)
    )
    return all(any(name in call for name in names) for call in called)
