"""The GPU loader, here on the CPU: images, boxes and parameters equal those of Ultralytics' own loader."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader

from pipeline.yolo.frozen.store import CacheLimits
from pipeline.yolo.gpu_loader import loader as module
from pipeline.yolo.gpu_loader.loader import GpuLoader, try_gpu_loader
from pipeline.yolo.gpu_loader.parameters import (
    BatchParameters,
    WarpParameters,
    build_matrices,
    draw_parameters,
)
from pipeline.yolo.gpu_loader.ultralytics_ranges import UnsupportedError, read_ranges
from pipeline.yolo.gpu_loader.warp import GpuImageStore
from pipeline.yolo.training.datasets.object_dataset import build_object_dataset
from pipeline.yolo.training.resolved_settings import read_resolved_settings
from pipeline.yolo.training.resume.state import seed_epoch
from pipeline.yolo.training.train import build_trainer
from tests import sources, trainings

SIDE = 64
CPU = torch.device("cpu")
SIZES = ((96, 64), (50, 80), (64, 64), (40, 40), (128, 100), (33, 90), (64, 31), (70, 70))
WILD = {"degrees": 20.0, "shear": 8.0, "perspective": 0.0008, "flipud": 0.5, "bgr": 0.5, "mosaic": 0.7}
TILTED = {"degrees": 45.0, "scale": [0.3, 2.0], "translate": 0.3, "flipud": 0.5}


def _loader(folder, *, task="detect", batch=3, **changes):
    """Build Ultralytics' loader on images of many shapes, some objects at their edges, one image without."""
    rng = np.random.default_rng(0)
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(SIZES):
        sources.write_picture(folder / f"images/{number}.png", size=size)
        corners = np.sort(rng.uniform(0, 1, (number % 4, 2, 2)), axis=1)
        rows = np.concatenate([corners.mean(axis=1), np.ptp(corners, axis=1)], axis=1)
        label = "".join(f"{row % 3} {' '.join(map(str, values))}\n" for row, values in enumerate(rows))
        (folder / f"labels/{number}.txt").write_text(label)
    arguments = trainings.arguments(augmentations=[], save_dir=str(folder / "scratch"), **changes)
    namespace = get_cfg(overrides={key: value for key, value in arguments.items() if value is not None})
    data = {"names": dict(enumerate("abc")), "nc": 3, "channels": 3, "task": task}
    dataset = build_object_dataset(
        namespace, [str(folder / "images")], data=data, train=True, batch=batch, stride=32
    )
    return build_dataloader(dataset, batch=batch, workers=0, shuffle=True, device="cpu")


def _replay(ranges, sizes, index):
    """Draw for one image as Ultralytics' transforms do, from the same random numbers in the same order."""
    uniform = random.uniform
    mosaic, others, center = uniform(0, 1) <= ranges.mosaic, [0, 0, 0], (0, 0)
    if mosaic:
        others = [random.randint(0, len(sizes) - 1) for _ in range(3)]
        center = [int(uniform(SIDE // 2, 2 * SIDE - SIDE // 2)) for _ in range(2)][::-1]
    perspective = [uniform(-ranges.perspective, ranges.perspective) for _ in range(2)]
    angle, scale = uniform(-ranges.degrees, ranges.degrees), uniform(*ranges.scale)
    shear = [uniform(-ranges.shear, ranges.shear) for _ in range(2)]
    shift = [uniform(0.5 - ranges.translate, 0.5 + ranges.translate) * SIDE for _ in range(2)]
    _mixup, _cutmix = uniform(0, 1), uniform(0, 1)
    flipud, fliplr = random.random() < ranges.flipud, random.random() < ranges.fliplr
    bgr = uniform(0, 1) <= ranges.bgr
    gains = np.random.uniform(-1, 1, 3) * ranges.gains
    warp = WarpParameters(
        *(np.array([part]) for part in (perspective, np.deg2rad(angle), scale, np.deg2rad(shear), shift))
    )
    canvas = np.full((1, 2), 2 * SIDE) if mosaic else sizes[[index]]
    matrix = build_matrices(canvas, warp)[0]
    parts = ([index, *others], mosaic, center, matrix, scale, [fliplr, flipud], gains, bgr)
    return BatchParameters(*(np.array([part]) for part in parts))


def _seed(number):
    random.seed(number)
    np.random.seed(number)


@pytest.mark.parametrize(
    "changes", [{}, {"mosaic": 0.0}, WILD, TILTED], ids=["stock", "no mosaic", "wild", "tilted"]
)
def test_same_parameters_give_the_images_and_boxes_of_the_stock_transforms(tmp_path, changes):
    loader = _loader(tmp_path, **changes)
    found = GpuLoader(loader, CPU)
    ranges = read_ranges(loader.dataset)
    boxes = 0
    for number in range(24):
        index = number % len(SIZES)
        _seed(number)
        expected = loader.dataset[index]
        _seed(number)
        batch = found.build_batch(_replay(ranges, found.sizes, index))
        off = (batch["img"][0].float() - expected["img"].float()).abs()
        assert off.mean() < 0.25  # 0.1 at most, from rounding: edges and seams included
        assert (off > 3).float().mean() < 0.001
        assert batch["cls"].equal(expected["cls"])
        assert batch["bboxes"].shape == expected["bboxes"].shape
        torch.testing.assert_close(batch["bboxes"] * SIDE, expected["bboxes"] * SIDE, atol=1e-3, rtol=0)
        boxes += len(expected["bboxes"])
    assert boxes > 24


def test_parameters_are_distributed_as_those_of_the_stock_transforms(tmp_path):
    loader = _loader(tmp_path, **WILD)
    ranges, sizes = read_ranges(loader.dataset), np.array(SIZES)
    order = np.arange(3000) % len(SIZES)
    _seed(0)
    stock = [_replay(ranges, sizes, index) for index in order.tolist()]
    theirs = BatchParameters(*(np.concatenate(parts) for parts in zip(*stock, strict=True)))
    ours = draw_parameters(order, sizes, ranges, np.random.default_rng(0))
    for name in BatchParameters._fields:
        used = [drawn.mosaic | (name not in {"center", "sources"}) for drawn in (theirs, ours)]
        one, two = (
            getattr(drawn, name)[rows].reshape(rows.sum(), -1).astype(float)
            for drawn, rows in zip((theirs, ours), used, strict=True)
        )
        error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / min(len(one), len(two))) + 1e-12
        assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 4.5 * error).all(), name
        assert two.std(axis=0) == pytest.approx(one.std(axis=0), rel=0.1, abs=1e-9), name


def test_batches_have_the_format_of_stock_batches(tmp_path):
    loader = _loader(tmp_path)
    stock, ours = (list(batches) for batches in (loader, GpuLoader(loader, CPU)))
    assert len(stock) == len(ours) == 3
    for one, two in zip(stock, ours, strict=True):
        assert set(one) == set(two)
        for key, value in one.items():
            if isinstance(value, torch.Tensor):
                assert (two[key].dtype, two[key].shape[1:]) == (value.dtype, value.shape[1:]), key
            else:
                assert [type(part) for part in two[key]] == [type(part) for part in value], key
        assert two["img"].is_contiguous()
        assert set(two["batch_idx"].tolist()) <= set(range(len(two["img"])))
    facts = ("im_file", "ori_shape", "ratio_pad")
    by_file = [
        sorted(row for batch in batches for row in zip(*(batch[fact] for fact in facts), strict=True))
        for batches in (stock, ours)
    ]
    assert by_file[0] == by_file[1]
    assert len(by_file[0]) == len(SIZES)


def _images(batches):
    return torch.cat([batch["img"] for batch in batches])


def test_epoch_depends_on_its_seed_and_has_every_image_once(tmp_path):
    found = GpuLoader(_loader(tmp_path), CPU)
    epochs = []
    for seed in (1, 2, 1):
        seed_epoch(seed, loader=found)
        epochs.append(list(found))
    assert sorted(file for batch in epochs[0] for file in batch["im_file"]) == found.dataset.im_files
    assert _images(epochs[0]).equal(_images(epochs[2]))
    assert epochs[0][0]["bboxes"].equal(epochs[2][0]["bboxes"])
    assert not _images(epochs[0]).equal(_images(epochs[1]))
    assert epochs[0][0]["im_file"] != epochs[1][0]["im_file"]


def test_mosaics_end_when_close_mosaic_is_called(tmp_path):
    found = GpuLoader(_loader(tmp_path), CPU)
    plain = dict.fromkeys(("translate", "scale", "fliplr", "hsv_h", "hsv_s", "hsv_v"), 0.0)
    assert not _narrow_image_is_alone(found)
    found.dataset.close_mosaic(get_cfg(overrides=plain))
    assert _narrow_image_is_alone(found)


def _narrow_image_is_alone(loader):
    """Tell whether the narrowest image is in the middle, with gray on both sides."""
    [image] = [
        image
        for batch in loader
        for file, image in zip(batch["im_file"], batch["img"], strict=True)
        if file.endswith("5.png")
    ]
    gray = (image == 114).all(dim=0).all(dim=0)
    return gray[:20].all() and gray[-20:].all() and not gray[20:-20].any()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"mixup": 0.1}, "augment.online.mixup=0.1"),
        ({"cutmix": 0.5}, "augment.online.cutmix=0.5"),
        ({"rect": True}, "finetune.rect=true"),
    ],
)
def test_unsupported_argument_keeps_the_stock_loader_and_is_named(tmp_path, capsys, changes, word):
    loader = _loader(tmp_path, **changes)
    assert try_gpu_loader(loader, CPU) is loader
    assert [line for line in capsys.readouterr().err.splitlines() if word in line]


def test_dataset_with_outlines_keeps_the_stock_loader(tmp_path, capsys):
    loader = _loader(tmp_path)
    loader.dataset.use_segments = True
    assert try_gpu_loader(loader, CPU) is loader
    assert "only detect" in capsys.readouterr().err


def test_images_that_do_not_fit_keep_the_stock_loader(tmp_path, capsys):
    loader = _loader(tmp_path)
    loader.dataset.imgsz = 10**6
    assert try_gpu_loader(loader, CPU) is loader
    assert "GB are more than 25% of what is free on cpu" in capsys.readouterr().err


def test_device_that_fails_keeps_the_stock_loader(tmp_path, capsys):
    loader = _loader(tmp_path)
    assert try_gpu_loader(loader, torch.device("vulkan")) is loader
    assert "vulkan failed with them" in capsys.readouterr().err
    assert len(list(loader)) == 3


def test_device_with_different_images_is_rejected(tmp_path):
    found = GpuLoader(_loader(tmp_path), CPU)
    found.compare_with_cpu()
    found.store.words ^= 0x3F3F3F
    with pytest.raises(
        UnsupportedError, match=r"images from cpu differ from those of the CPU by \d+.\d gray levels"
    ):
        found.compare_with_cpu()


def test_batch_stays_on_the_gpu(tmp_path):
    """Without a GPU, by tensors that have a device and no contents."""
    found = GpuLoader(_loader(tmp_path, **WILD), CPU)
    ranges = read_ranges(found.dataset)
    parameters = draw_parameters(np.arange(8), found.sizes, ranges, np.random.default_rng(0))
    with FakeTensorMode(allow_non_fake_inputs=True):
        found.device = torch.device("cuda", 0)
        found.store = GpuImageStore(found.sizes, found.device)
        found.store.put_image(0, np.zeros((43, 64, 3), np.uint8))
        batch = found.build_batch(parameters)
        assert (batch["img"].shape, batch["img"].dtype) == ((8, 3, SIDE, SIDE), torch.uint8)
        assert {str(part.device) for part in batch.values() if isinstance(part, torch.Tensor)} == {"cuda:0"}


def test_prefetched_batch_is_the_next_batch(tmp_path):
    found = GpuLoader(_loader(tmp_path), CPU)
    epochs = []
    for ahead in (False, True):
        seed_epoch(1, loader=found)
        epochs.append([])
        for batch in found:
            epochs[-1].append(batch)
            for _ in range(2 * ahead):  # also twice, and where no batch is left
                found.prefetch_batch()
        assert found.prefetched is None
    assert [batch["im_file"] for batch in epochs[0]] == [batch["im_file"] for batch in epochs[1]]
    assert _images(epochs[0]).equal(_images(epochs[1]))
    stopped = iter(found)
    next(stopped)
    found.prefetch_batch()  # an epoch that ends early leaves no batch to the next
    seed_epoch(1, loader=found)
    assert _images(found).equal(_images(epochs[0]))


@pytest.mark.parametrize(
    ("limits", "loader"), [(CacheLimits(1 << 30, 0), "processes"), (CacheLimits(0, 0), "resident")]
)
def test_stored_features_keep_the_stock_loader(tmp_path, limits, loader):
    trainings.dataset(tmp_path)
    still = yaml.safe_load((trainings.CONF / "augment/offline.yaml").read_text())["online"]
    trainer = build_trainer(trainings.job(tmp_path, freeze="backbone", fast="gpu", **still))
    trainer.gpu_loader_devices, trainer.cache_limits = frozenset({"cpu"}), limits
    trainer._setup_train()
    assert read_resolved_settings(trainer)["loader"] == loader


def _train(root, *, stop_after=None):
    """Train with the GPU loader on the CPU; every second epoch is validated."""
    job = replace(trainings.job(root, epochs=3, close_mosaic=1, fast="gpu"), val_every=2)
    trainer = build_trainer(job)
    trainer.gpu_loader_devices = frozenset({"cpu"})

    def stop(trainer):
        if trainer.epoch + 1 == stop_after:
            raise KeyboardInterrupt

    trainer.add_callback("on_fit_epoch_end", stop)
    try:
        trainer.train()
    except KeyboardInterrupt:
        assert stop_after
    return trainer


@pytest.mark.slow
def test_resumed_training_with_the_gpu_loader_gives_the_same_result(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for root in (whole, parts):
        trainings.dataset(root)
    expected = _train(whole)
    _train(parts, stop_after=1)  # before anything was validated
    found = _train(parts)
    assert found.effective["loader"] == "resident"
    assert [{**row, "seconds": 0} for row in found.rows] == [{**row, "seconds": 0} for row in expected.rows]
    for name, tensor in expected.saved_weights["last"].items():
        assert tensor.equal(found.saved_weights["last"][name])
    assert found.stopper.best_epoch == expected.stopper.best_epoch
    validated = [row["epoch"] for row in found.rows if "metrics/mAP50-95" in row]
    assert validated == [row["epoch"] for row in found.rows if "val/box_loss" in row] == [2, 3]


@pytest.mark.parametrize(
    ("fast", "devices", "loader"),
    [
        (False, {"cpu"}, "processes"),
        (True, {"cpu"}, "processes"),
        ("gpu", {"cpu"}, "resident"),
        ("gpu", {"cuda"}, "processes"),
    ],
)
def test_gpu_loader_is_used_only_with_fast_gpu_on_its_devices(tmp_path, fast, devices, loader):
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path, fast=fast))
    trainer.gpu_loader_devices = frozenset(devices)
    trainer._setup_train()
    assert read_resolved_settings(trainer)["loader"] == loader


@pytest.mark.parametrize("task", ["segment", "obb", "pose", "classify"])
def test_other_tasks_keep_the_stock_loader(tmp_path, task):
    trainings.dataset(tmp_path, task=task)
    trainer = build_trainer(trainings.job(tmp_path, task=task, fast="gpu"))
    trainer.gpu_loader_devices = frozenset({"cpu"})
    trainer._setup_train()
    assert not isinstance(trainer.train_loader, GpuLoader)


def test_images_on_the_device_are_released_from_memory(tmp_path):
    loader = _loader(tmp_path, cache="ram")
    before = GpuLoader(loader, CPU)
    seed_epoch(0, loader=before)
    expected = _images(before)
    assert loader.dataset.ims[0] is not None
    found = try_gpu_loader(loader, CPU)
    assert found.dataset.ims == [None] * len(SIZES)
    seed_epoch(0, loader=found)
    assert _images(found).equal(expected)


@pytest.mark.slow
def test_training_out_of_memory_retries_with_the_stock_loader_and_records_it(tmp_path):
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path, epochs=1, nbs=6, fast="gpu"))
    trainer.gpu_loader_devices = frozenset({"cpu"})
    before = []

    def run_out(_model, _batch):
        if not before:
            before.append(trainer.effective)
            raise RuntimeError("CUDA out of memory")

    trainer.add_callback("on_train_start", lambda _trainer: trainer.model.register_forward_pre_hook(run_out))
    trainer.train()
    shown = ("batch", "accumulate", "loader")
    assert [before[0][name] for name in shown] == [4, 2, "resident"]
    assert [trainer.state["effective"][name] for name in shown] == [2, 3, "processes"]
    decays = {group["weight_decay"] for group in trainer.optimizer.param_groups}
    assert trainer.state["effective"]["weight_decay"] == max(decays) < before[0]["weight_decay"]


@pytest.mark.slow
def test_a_resumed_training_keeps_the_stock_loader_that_it_began_with(tmp_path, capsys):
    """With the GPU loader it would draw other random numbers."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    rows = []
    for root in (whole, parts):
        root.mkdir()
        trainings.dataset(root)
    for root, stops in ((whole, [None]), (parts, [1, None])):
        for number, stop in enumerate(stops):
            with pytest.MonkeyPatch.context() as patch:
                if number == 0:
                    patch.setattr(module, "MAX_MEMORY_SHARE", 0.0)
                trainer = _train(root, stop_after=stop)
            assert trainer.effective["loader"] == "processes"
        rows.append([{**row, "seconds": 0} for row in trainer.rows])
    told = [line for line in capsys.readouterr().err.splitlines() if "stay with" in line]
    assert ["of what is free" in line for line in told] == [True, True, False]
    assert [{key: row[key] for key in row if key.startswith(("train/", "val/"))} for row in rows[0]] == [
        {key: row[key] for key in row if key.startswith(("train/", "val/"))} for row in rows[1]
    ]
