"""What frozen layers say of an image is computed once, and training on it is the training it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from ultralytics.nn.tasks import DetectionModel

from pipeline.yolo.frozen import features as frozen_features
from pipeline.yolo.frozen import model as frozen_model
from pipeline.yolo.frozen import store as frozen_store
from pipeline.yolo.frozen.features import OF_IMAGES, OF_OBJECTS
from pipeline.yolo.frozen.model import BatchIndices, read_later
from pipeline.yolo.frozen.store import CacheLimits, FeatureStore
from pipeline.yolo.schedules import UnfreezingSchedule
from pipeline.yolo.training import precision
from pipeline.yolo.training import train as training_train
from pipeline.yolo.training.precision import on_processor
from tests import trainings

ONLINE = yaml.safe_load((trainings.CONF / "augment/offline.yaml").read_text())["online"]
STILL = SimpleNamespace(**dict.fromkeys({*OF_OBJECTS, *OF_IMAGES}, 0.0))
NETWORKS = [
    ("yolo26n", 11, {4, 6, 10}),
    ("yolo26n", 23, {16, 19, 22}),
    ("yolo11n", 11, {4, 6, 10}),
    ("yolov8n", 10, {4, 6, 9}),
]
SCHEDULE = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)


def _built(root, *, room=None, train=6, **changes):
    trainings.dataset(root, train=train, val=2, task=changes.get("task", "detect"))
    trainer = training_train.build(_job(root, **changes))
    trainer.room = room
    return trainer


def _job(root, **changes):
    return trainings.job(root, **{"freeze": "backbone", "workers": 0, **ONLINE, **changes})


def _trained(root, **changes):
    trainer = _built(root, **changes)
    trainer.train()
    return trainer


def _alike(first, second):
    """Tell whether two trainings have the same curves and weights, bit for bit; the clock may differ."""
    curves = [[{**row, "seconds": 0} for row in trainer.rows] for trainer in (first, second)]
    weights = first.kept["last"], second.kept["last"]
    return curves[0] == curves[1] and all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_a_training_on_kept_features_is_the_same_training_and_looks_at_each_image_once(tmp_path):
    seen = []

    def watch(trainer):
        for model in (trainer.model, trainer.ema.ema):
            model.model[0].register_forward_hook(lambda _layer, given, _said: seen.append(len(given[0])))

    kept = _built(tmp_path / "kept", precision="auto", epochs=3)
    kept.add_callback("on_pretrain_routine_end", watch)
    kept.train()
    stock = _trained(tmp_path / "stock", precision="auto", epochs=3, fast=False)
    assert seen == [4, 2, 2]  # two batches of train images, one of val images
    assert _alike(kept, stock)
    assert kept.effective["frozen_features"].startswith("memory ")
    assert stock.effective["frozen_features"] == "off: finetune.fast=false"
    assert kept.train_loader.dataset.ims == [None] * 6  # nobody will look at them again


@pytest.mark.parametrize("task", ["segment", "obb", "pose", "classify"])
def test_other_tasks_keep_features_too(tmp_path, task):
    kept = _trained(tmp_path / "kept", task=task, train=4)
    stock = _trained(tmp_path / "stock", task=task, train=4, fast=False)
    assert kept.effective["frozen_features"].startswith("memory ")
    assert _alike(kept, stock)


def test_masks_count_as_memory_wherever_the_features_are(tmp_path):
    trainer = _built(tmp_path, task="segment", train=4)
    trainer._setup_train()
    for overlap in (False, True):
        trainer.args.overlap_mask = overlap
        trainer._build_train_pipeline()
        for loader in (trainer.train_loader, trainer.test_loader):
            dataset = loader.dataset
            samples = [dataset[index] for index in range(len(dataset))]
            held = sum(sample[name].nbytes for sample in samples for name in ("masks", "sem_masks"))
            bound = frozen_features.masks(dataset, trainer.args, dataset.store.extents)
            assert held <= bound < 2 * held
    features = dataset.store.kept.contents.nbytes
    for room, place in (((bound, features), "disk"), ((bound - 1, features), "off"), ((features, 0), "off")):
        trainer.room = CacheLimits(*room)
        trainer._build_train_pipeline()
        assert trainer.frozen["frozen_features_val"].split()[0].strip(":") == place


def test_val_features_are_kept_where_train_images_vary(tmp_path):
    room = CacheLimits(memory=0, disk=1 << 30)
    kept = _trained(tmp_path / "kept", mosaic=0.5, train=4, room=room)
    stock = _trained(tmp_path / "stock", mosaic=0.5, train=4, fast=False)
    assert kept.effective["frozen_features"] == "off: mosaic=0.5"
    assert kept.effective["frozen_features_val"].startswith("disk ")
    assert _alike(kept, stock)


def test_a_stopped_training_notes_the_features_anew(tmp_path):
    whole = _trained(tmp_path / "whole", epochs=3)

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    trainings.dataset(tmp_path / "parts", train=6, val=2)
    with pytest.raises(KeyboardInterrupt):
        trainings.run(_job(tmp_path / "parts", epochs=3), on_epoch=stop)
    resumed = training_train.build(_job(tmp_path / "parts", epochs=3))
    resumed.train()
    assert _alike(resumed, whole)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"freeze": [0, 1, 2, 7, 8]}, "memory"),  # up to the hole
        ({"freeze": 23}, "memory"),  # all but the head: beyond the first layer that reads an earlier one
        ({"freeze": [1, 2]}, "off: layer 0 learns"),
        ({"freeze": None, "gradual": SCHEDULE}, "off: layers open gradually"),
        ({"room": CacheLimits(memory=0, disk=0)}, "off: 0.0 GB are too much for memory and disk"),
    ],
)
def test_what_is_kept_and_why_not(tmp_path, changes, said):
    trainer = _built(tmp_path, **changes)
    trainer._setup_train()
    loaders = (trainer.train_loader, trainer.test_loader)
    assert all(account.startswith(said) for account in trainer.frozen.values())
    assert [loader.dataset.store is not None for loader in loaders] == [said == "memory"] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"mosaic": 0.5}, "mosaic=0.5"),
        ({"scale": [0.5, 1.5]}, "scale=[0.5, 1.5]"),
        ({"erasing": 0.4}, ""),  # classify alone erases
        ({"task": "classify", "mosaic": 1.0}, ""),
        ({"task": "classify", "auto_augment": "augmix"}, "auto_augment=augmix"),
    ],
)
def test_arguments_that_draw_images_anew(changes, said):
    assert frozen_features.varying(SimpleNamespace(**{**vars(STILL), "task": "detect", **changes})) == said


@pytest.mark.parametrize(
    ("fast", "changes", "said"),
    [
        (True, {}, ""),
        (False, {}, "finetune.fast=false"),
        (True, {"freeze": 0}, "no layer is frozen"),
        (True, {"compile": "default"}, "compile=default"),
        (True, {"distill_model": "teacher.pt"}, "distill_model=teacher.pt"),
    ],
)
def test_what_keeps_layers_from_being_skipped(fast, changes, said):
    job = SimpleNamespace(fast=fast, gradual=None)
    given = {"freeze": 10, "compile": False, "distill_model": None, **changes}
    assert frozen_features.hindrance(job, SimpleNamespace(**given)) == said


@pytest.mark.parametrize(("name", "backbone", "read"), NETWORKS)
def test_outputs_and_gradients_are_those_of_the_whole_network(name, backbone, read):
    torch.manual_seed(0)
    model = _network(name, backbone, lowered=on_processor("auto") == "bf16")
    images, unseen = torch.rand(4, 3, 64, 64), torch.empty(2, 3, 64, 64, device="meta")
    layers = read_later(list(model.model), backbone)
    assert layers == read
    kept = frozen_store.reserve(1 << 20, folder=None, room=CacheLimits(memory=1 << 20, disk=0))
    store = FeatureStore([(64, 64)] * 4, layers, kept=kept)
    assert _same(_step(model, images, store, range(4)), _step(model, images))
    store.samples = {index: {} for index in range(4)}  # the dataset's part
    assert _same(_step(model, unseen, store, [3, 1]), _step(model, images[[3, 1]]))


def _network(name, backbone, *, lowered):
    model = DetectionModel(f"{name}.yaml", nc=3, verbose=False)
    frozen_model.prepare(model)
    if lowered:
        precision.lower(model)
    model.eval()  # a BatchNorm that moves between two passes compares with nothing
    model.training = model.model[-1].training = True
    for layer in model.model:
        layer.requires_grad_(layer.i >= backbone)
    return model


def _step(model, images, store=None, indices=()):
    """Return the outputs of a forward pass, and the gradients of their squares."""
    model.zero_grad()
    model.turn = BatchIndices(store, list(indices)) if store else None
    said = model(images)
    said = said.get("one2many", said)
    outputs = [said["boxes"], said["scores"]]
    sum(output.square().mean() for output in outputs).backward()
    return [*outputs, *(part.grad for part in model.parameters() if part.grad is not None)]


def _same(first, second):
    assert len(first) > 2
    return all(one.equal(other) for one, other in zip(first, second, strict=True))


def test_a_store_gives_back_what_it_was_given_from_memory_and_disk(tmp_path):
    torch.manual_seed(0)
    plain = torch.randn(3, 5, 2, 4)
    low = torch.randn(3, 7, 4, 2).bfloat16().contiguous(memory_format=torch.channels_last)
    for room in (CacheLimits(memory=1 << 12, disk=0), CacheLimits(memory=0, disk=1 << 12)):
        kept = frozen_store.reserve(1 << 12, folder=tmp_path, room=room)
        assert kept
        store = FeatureStore([(32, 64)] * 3, {4, 6}, kept=kept)
        store.note([2, 0], {4: plain[[2, 0]], 6: low[[2, 0]], 9: plain})
        store.note([1, 0], {4: plain[[1, 2]], 6: low[[1, 2]]})  # the second time an image counts for nothing
        found = store.recall([0, 1, 2], torch.device("cpu"))
        assert set(found) == {4, 6}
        assert found[4].equal(plain)
        assert found[6].equal(low)
        assert found[6].stride() == low.stride()
    assert not list(tmp_path.iterdir())


def test_for_a_network_on_a_gpu_they_are_kept_there_or_not_at_all(tmp_path):
    """Without a GPU, by tensors that have a device and no contents."""
    gpu, room = torch.device("cuda", 0), CacheLimits(memory=1 << 30, disk=1 << 30, gpu=1 << 12)
    with FakeTensorMode():
        kept = frozen_store.reserve(1 << 12, folder=tmp_path, room=room, device=gpu)
        assert kept.place == "cuda:0"
        store = FeatureStore([(32, 64)] * 2, {4}, kept=kept)
        store.note([1, 0], {4: torch.empty(2, 5, 2, 4, dtype=torch.bfloat16, device=gpu)})
        found = store.recall([0, 1], gpu)[4]
        assert (found.device, found.dtype, found.shape) == (gpu, torch.bfloat16, (2, 5, 2, 4))
    for size, beside in (((1 << 12) + 1, 0), (1, (1 << 30) + 1)):
        assert frozen_store.reserve(size, beside=beside, folder=tmp_path, room=room, device=gpu) is None


def test_what_fits_nowhere_is_not_kept(tmp_path):
    bounds = {
        100: CacheLimits(memory=99, disk=99),
        1 << 60: CacheLimits(memory=0, disk=1 << 61),
    }  # the disk has not that much
    for size, room in bounds.items():
        assert frozen_store.reserve(size, folder=tmp_path, room=room) is None
    assert not list(tmp_path.iterdir())
