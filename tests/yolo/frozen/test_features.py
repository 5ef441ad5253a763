"""Frozen layers' outputs are computed once per image, and the training's result does not change."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from ultralytics.nn.tasks import DetectionModel

from pipeline.yolo.frozen.features import (
    VARYING_CLASSIFY_ARGUMENTS,
    VARYING_OBJECT_ARGUMENTS,
    estimate_mask_bytes,
    explain_no_features,
    find_varying_argument,
)
from pipeline.yolo.frozen.model import BatchIndices, enable_prefix_skipping, find_layers_read_later
from pipeline.yolo.frozen.store import CacheLimits, FeatureStore, reserve_bytes
from pipeline.yolo.training.precision import choose_cpu_precision, enable_bf16
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.unfreezing import UnfreezingSchedule
from tests import trainings

ONLINE = yaml.safe_load((trainings.CONF / "augment/offline.yaml").read_text())["online"]
STILL = SimpleNamespace(**dict.fromkeys({*VARYING_OBJECT_ARGUMENTS, *VARYING_CLASSIFY_ARGUMENTS}, 0.0))
NETWORKS = [
    ("yolo26n", 11, {4, 6, 10}),
    ("yolo26n", 23, {16, 19, 22}),
    ("yolo11n", 11, {4, 6, 10}),
    ("yolov8n", 10, {4, 6, 9}),
]
SCHEDULE = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)


def _built(root, *, limits=None, train=6, **changes):
    trainings.dataset(root, train=train, val=2, task=changes.get("task", "detect"))
    trainer = build_trainer(_job(root, **changes))
    trainer.cache_limits = limits
    return trainer


def _job(root, **changes):
    return trainings.job(root, **{"freeze": "backbone", "workers": 0, **ONLINE, **changes})


def _trained(root, **changes):
    trainer = _built(root, **changes)
    trainer.train()
    return trainer


def _alike(first, second):
    """Tell whether two trainings have the same curves and weights, bit for bit; seconds may differ."""
    curves = [[{**row, "seconds": 0} for row in trainer.rows] for trainer in (first, second)]
    pairs = [(first.saved_weights[kind], second.saved_weights[kind]) for kind in ("last", "best")]
    return curves[0] == curves[1] and all(one[name].equal(two[name]) for one, two in pairs for name in one)


@pytest.mark.slow
def test_stored_features_give_the_same_training_and_each_image_is_computed_once(tmp_path):
    batches = []

    def watch(trainer):
        for model in (trainer.model, trainer.ema.ema):
            model.model[0].register_forward_hook(
                lambda _layer, inputs, _output: batches.append(len(inputs[0]))
            )

    kept = _built(tmp_path / "kept", precision="auto", epochs=3)
    kept.add_callback("on_pretrain_routine_end", watch)
    kept.train()
    stock = _trained(tmp_path / "stock", precision="auto", epochs=3, fast=False)
    assert batches == [4, 2, 2]  # two batches of train images, one of val images
    assert _alike(kept, stock)
    assert kept.effective["frozen_features"].startswith("memory ")
    assert stock.effective["frozen_features"] == "off: finetune.fast=false"
    assert kept.train_loader.dataset.ims == [None] * 6  # no later epoch reads them


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "obb", "pose", "classify"])
def test_other_tasks_store_features_too(tmp_path, task):
    kept = _trained(tmp_path / "kept", task=task, train=4, average=2)
    stock = _trained(tmp_path / "stock", task=task, train=4, average=2, fast=False)
    assert kept.average.epochs == stock.average.epochs == (1, 2)
    assert kept.effective["frozen_features"].startswith("memory ")
    assert _alike(kept, stock)


def test_masks_count_as_memory_wherever_the_features_are_stored(tmp_path):
    trainer = _built(tmp_path, task="segment", train=4)
    trainer._setup_train()
    for overlap in (False, True):
        trainer.args.overlap_mask = overlap
        trainer._build_train_pipeline()
        for loader in (trainer.train_loader, trainer.test_loader):
            dataset = loader.dataset
            samples = [dataset[index] for index in range(len(dataset))]
            held = sum(sample[name].nbytes for sample in samples for name in ("masks", "sem_masks"))
            bound = estimate_mask_bytes(dataset, trainer.args, dataset.feature_store.input_sizes)
            assert held <= bound < 2 * held
    features = dataset.feature_store.storage.contents.nbytes
    for limits, place in (
        ((bound, features), "disk"),
        ((bound - 1, features), "off"),
        ((features, 0), "off"),
    ):
        trainer.cache_limits = CacheLimits(*limits)
        trainer._build_train_pipeline()
        assert trainer.frozen_features["frozen_features_val"].split()[0].strip(":") == place


@pytest.mark.slow
def test_val_features_are_stored_where_train_images_vary(tmp_path):
    limits = CacheLimits(memory=0, disk=1 << 30)
    kept = _trained(tmp_path / "kept", mosaic=0.5, train=4, limits=limits)
    stock = _trained(tmp_path / "stock", mosaic=0.5, train=4, fast=False)
    assert kept.effective["frozen_features"] == "off: mosaic=0.5"
    assert kept.effective["frozen_features_val"].startswith("disk ")
    assert _alike(kept, stock)


@pytest.mark.slow
def test_resumed_training_stores_the_features_again(tmp_path):
    whole = _trained(tmp_path / "whole", epochs=3)

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    trainings.dataset(tmp_path / "parts", train=6, val=2)
    with pytest.raises(KeyboardInterrupt):
        trainings.run(_job(tmp_path / "parts", epochs=3), on_epoch=stop)
    resumed = build_trainer(_job(tmp_path / "parts", epochs=3))
    resumed.train()
    assert _alike(resumed, whole)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"freeze": [0, 1, 2, 7, 8]}, "memory"),  # up to the hole
        ({"freeze": 23}, "memory"),  # all but the head: beyond the first layer that reads an earlier one
        ({"freeze": [1, 2]}, "off: layer 0 learns"),
        ({"freeze": None, "gradual": SCHEDULE}, "off: layers open gradually"),
        ({"limits": CacheLimits(memory=0, disk=0)}, "off: 0.0 GB are too much for memory and disk"),
    ],
)
def test_reason_is_recorded_where_features_are_not_stored(tmp_path, changes, reason):
    trainer = _built(tmp_path, **changes)
    trainer._setup_train()
    loaders = (trainer.train_loader, trainer.test_loader)
    assert all(text.startswith(reason) for text in trainer.frozen_features.values())
    assert [loader.dataset.feature_store is not None for loader in loaders] == [reason == "memory"] * 2


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, ""),
        ({"mosaic": 0.5}, "mosaic=0.5"),
        ({"scale": [0.5, 1.5]}, "scale=[0.5, 1.5]"),
        ({"erasing": 0.4}, ""),  # classify alone erases
        ({"task": "classify", "mosaic": 1.0}, ""),
        ({"task": "classify", "auto_augment": "augmix"}, "auto_augment=augmix"),
    ],
)
def test_argument_that_changes_train_images_is_named(changes, name):
    assert find_varying_argument(SimpleNamespace(**{**vars(STILL), "task": "detect", **changes})) == name


@pytest.mark.parametrize(
    ("fast", "device", "changes", "reason"),
    [
        (True, "cpu", {}, ""),
        ("gpu", "cpu", {}, ""),
        ("gpu", "cuda", {}, ""),
        (False, "cpu", {}, "finetune.fast=false"),
        (False, "cuda", {}, "finetune.fast=false"),
        (True, "cuda", {}, "finetune.fast=true on a GPU"),
        (True, "mps", {}, "finetune.fast=true on a GPU"),
        (True, "cpu", {"freeze": 0}, "no layer is frozen"),
        (True, "cpu", {"compile": "default"}, "compile=default"),
        (True, "cpu", {"distill_model": "teacher.pt"}, "distill_model=teacher.pt"),
    ],
)
def test_reason_is_given_where_frozen_layers_are_not_skipped(fast, device, changes, reason):
    trainer = SimpleNamespace(
        job=SimpleNamespace(fast=fast, gradual=None),
        args=SimpleNamespace(**{"freeze": 10, "compile": False, "distill_model": None, **changes}),
        device=torch.device(device),
    )
    assert explain_no_features(trainer) == reason


@pytest.mark.parametrize(("name", "backbone", "read_layers"), NETWORKS)
def test_outputs_and_gradients_equal_those_of_the_whole_network(name, backbone, read_layers):
    torch.manual_seed(0)
    model = _network(name, backbone, bf16=choose_cpu_precision("auto") == "bf16")
    images, without_pixels = torch.rand(4, 3, 64, 64), torch.empty(2, 3, 64, 64, device="meta")
    layers = find_layers_read_later(list(model.model), backbone)
    assert layers == read_layers
    storage = reserve_bytes(1 << 20, folder=None, limits=CacheLimits(memory=1 << 20, disk=0))
    store = FeatureStore([(64, 64)] * 4, layers, storage=storage)
    assert _same(_step(model, images, store, range(4)), _step(model, images))
    store.samples = {index: {} for index in range(4)}  # the dataset's part
    assert _same(_step(model, without_pixels, store, [3, 1]), _step(model, images[[3, 1]]))


def _network(name, backbone, *, bf16):
    model = DetectionModel(f"{name}.yaml", nc=3, verbose=False)
    enable_prefix_skipping(model)
    if bf16:
        enable_bf16(model)
    model.eval()  # else BatchNorm statistics change between two passes
    model.training = model.model[-1].training = True
    for layer in model.model:
        layer.requires_grad_(layer.i >= backbone)
    return model


def _step(model, images, store=None, indices=()):
    """Return the outputs of a forward pass, and the gradients of their squares."""
    model.zero_grad()
    model.next_batch = BatchIndices(store, list(indices)) if store else None
    predictions = model(images)
    predictions = predictions.get("one2many", predictions)
    outputs = [predictions["boxes"], predictions["scores"]]
    sum(output.square().mean() for output in outputs).backward()
    return [*outputs, *(part.grad for part in model.parameters() if part.grad is not None)]


def _same(first, second):
    assert len(first) > 2
    return all(one.equal(other) for one, other in zip(first, second, strict=True))


def test_store_reads_back_the_same_outputs_from_memory_and_disk(tmp_path):
    torch.manual_seed(0)
    plain = torch.randn(3, 5, 2, 4)
    low = torch.randn(3, 7, 4, 2).bfloat16().contiguous(memory_format=torch.channels_last)
    for limits in (CacheLimits(memory=1 << 12, disk=0), CacheLimits(memory=0, disk=1 << 12)):
        storage = reserve_bytes(1 << 12, folder=tmp_path, limits=limits)
        assert storage
        store = FeatureStore([(32, 64)] * 3, {4, 6}, storage=storage)
        store.write_outputs([2, 0], {4: plain[[2, 0]], 6: low[[2, 0]], 9: plain})
        again = {4: plain[[1, 2]], 6: low[[1, 2]]}
        store.write_outputs([1, 0], again)  # image 0 is stored already: skipped
        found = store.read_outputs([0, 1, 2], torch.device("cpu"))
        assert set(found) == {4, 6}
        assert found[4].equal(plain)
        assert found[6].equal(low)
        assert found[6].stride() == low.stride()
    assert not list(tmp_path.iterdir())


def test_outputs_of_a_network_on_a_gpu_are_stored_there_or_not_at_all(tmp_path):
    """Without a GPU, by tensors that have a device and no contents."""
    gpu, limits = torch.device("cuda", 0), CacheLimits(memory=1 << 30, disk=1 << 30, gpu=1 << 12)
    with FakeTensorMode():
        storage = reserve_bytes(1 << 12, folder=tmp_path, limits=limits, device=gpu)
        assert storage.place == "cuda:0"
        store = FeatureStore([(32, 64)] * 2, {4}, storage=storage)
        store.write_outputs([1, 0], {4: torch.empty(2, 5, 2, 4, dtype=torch.bfloat16, device=gpu)})
        found = store.read_outputs([0, 1], gpu)[4]
        assert (found.device, found.dtype, found.shape) == (gpu, torch.bfloat16, (2, 5, 2, 4))
    for size, extra_memory in (((1 << 12) + 1, 0), (1, (1 << 30) + 1)):
        assert (
            reserve_bytes(size, extra_memory=extra_memory, folder=tmp_path, limits=limits, device=gpu) is None
        )


def test_outputs_that_fit_nowhere_are_not_stored(tmp_path):
    bounds = {
        100: CacheLimits(memory=99, disk=99),
        1 << 60: CacheLimits(memory=0, disk=1 << 61),
    }  # the disk is smaller
    for size, limits in bounds.items():
        assert reserve_bytes(size, folder=tmp_path, limits=limits) is None
    assert not list(tmp_path.iterdir())
