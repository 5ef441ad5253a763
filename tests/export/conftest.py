"""A project whose labels are what the foundation model finds: no training is needed to measure exports."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.export import ExportConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.schema import Config
from pipeline.dataset.labels import ImageLabels, format_labels, xyxy_to_xywhn
from pipeline.dataset.manifest import Manifest, parse_manifest, serialize_manifest
from pipeline.yolo.inference.loaded_model import LoadedModel
from pipeline.yolo.inference.predict import read_prepared_image
from tests.builders import prepared_dataset

WEIGHTS = Path(__file__).parents[2] / "models/foundation/yolo26n-foundation.pt"
PIXELS = 64
SETTINGS = {"imgsz": PIXELS, "conf": 0.1, "iou": 0.7, "max_det": 20, "batch": 4, "device": "cpu"}


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """A folder with data/prepared and best.pt."""
    root = tmp_path_factory.mktemp("labelled")
    shutil.copy(WEIGHTS, root / "best.pt")
    folder = root / "data/prepared"
    drawn = prepared_dataset(folder, images={"train": 1, "val": 3, "test": 4}, pixels=PIXELS)
    with LoadedModel(WEIGHTS, settings=SETTINGS) as model:
        items = tuple(_label(folder, item, model) for item in drawn.items)
        manifest = Manifest("detect", model.names, items)
    (folder / "manifest.json").write_text(serialize_manifest(manifest))
    return root


def _label(folder, item, model):
    (found,) = model.predict([read_prepared_image(folder / "images" / item.file)])
    labels = ImageLabels(found.classes[:3], xyxy_to_xywhn(found.boxes[:3], PIXELS, PIXELS))
    text = format_labels(labels)
    (folder / "labels" / item.label_file).write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(item, labels_sha256=digest, classes=tuple(labels.classes.tolist()))


@pytest.fixture(scope="module")
def project(labelled, tmp_path_factory):
    """A copy of the labelled project as the current folder."""
    root = tmp_path_factory.mktemp("project") / "clone"
    shutil.copytree(labelled, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        yield root


@pytest.fixture(scope="module")
def manifest(project):
    return parse_manifest((project / "data/prepared/manifest.json").read_text())


@pytest.fixture(scope="module")
def config():
    """The configuration groups that an export reads."""
    evaluate = EvaluateConfig.model_construct(
        conf=0.001, iou=0.7, max_det=20, batch=4, bootstrap=50, tile=None, overlap=0.2
    )
    return Config.model_construct(
        seed=0,
        evaluate=evaluate,
        export=ExportConfig(tolerance=0.01, calibration=2),
        finetune=FinetuneConfig.model_construct(imgsz=PIXELS, device="cpu", threads=1),
    )
