"""Write small sources of labelled images in common formats, with known answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from pipeline.config.groups.compute import ComputeConfig
from pipeline.config.groups.data import DataConfig, SplitWeights
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.schema import Config

BOX = (10.0, 20.0, 50.0, 60.0)
"""x1 y1 x2 y2 of a box in pixels, in the middle of an image of SIZE."""

SIZE = (96, 80)

LOCAL = ComputeConfig(backend="local", address="auto")


def write_picture(path: Path, *, size: tuple[int, int] = SIZE) -> Path:
    """Write an image of noise that depends only on its path, so that no two are equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(os.fsencode(path.name) + os.fsencode(path.parent.name)))
    image = rng.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    large = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    path.write_bytes(cv2.imencode(path.suffix, large)[1].tobytes())
    return path


def write_yolo_source(
    folder: Path, labels: Mapping[str, str], *, names: Any = ("a", "b"), **data: Any
) -> Path:
    """Write images/NAME.jpg and labels/NAME.txt for each entry, and a data.yaml where names are given."""
    for name, text in labels.items():
        write_picture(folder / "images" / f"{name}.jpg")
        label = folder / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(text)
    if names is not None:
        named = list(names) if isinstance(names, tuple) else names
        (folder / "data.yaml").write_text(yaml.safe_dump({"names": named, **data}))
    return folder


def write_coco_file(
    file: Path, images: Mapping[str, Sequence[Mapping[str, Any]]], *, categories: Mapping[int, str]
) -> None:
    """Write a COCO file of image names, each with its annotations without ids; write no images."""
    rows = [
        {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
        for number, name in enumerate(images)
    ]
    annotations = [
        {"image_id": number, "category_id": min(categories), "bbox": [10, 20, 40, 40], "iscrowd": 0, **row}
        for number, found in enumerate(images.values())
        for row in found
    ]
    annotations = [{"id": number, **row} for number, row in enumerate(annotations)]
    classes = [{"id": key, "name": name, "supercategory": "none"} for key, name in categories.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": rows, "annotations": annotations, "categories": classes}))


def write_voc_file(
    file: Path, objects: Iterable[tuple[str, Sequence[Any]]], *, size: Any = SIZE, image: str = ""
) -> None:
    """Write a VOC file with objects given as (name, (xmin, ymin, xmax, ymax)); write no image."""
    found = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        + "</bndbox></object>"
        for name, box in objects
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"<annotation><filename>{image or file.stem + '.jpg'}</filename>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height></size>{found}</annotation>"
    )


def prepare_config(form: str, source: Path | list[str] | None, *, seed: int = 0, **changes: Any) -> Config:
    """Return a configuration with only the values that prepare reads."""
    split = SplitWeights(**{"train": 0.7, "val": 0.15, "test": 0.15, **changes.pop("split", {})})
    imgsz = changes.pop("imgsz", 640)
    values = {
        "format": form,
        "source": source if source is None or isinstance(source, list) else str(source),
        "split": split,
        "keep_split": True,
        "seed": seed,
        "images": None,
        "pixels": None,
        "samples": 3,
        "epochs": 1,
        "imgsz": imgsz,
        "task": "auto",
        "classes": {"keep": None, "drop": [], "rename": {}},
        "on_defect": "fix",
        "unlabelled": "auto",
        "crowds": "auto",
        "predictions": "ignore",
        "labels": "auto",
        "first_class": "auto",
        "sizes": "refuse",
        "group_by": None,
        "near_duplicates": False,
        "on_leak": "allow",
        "folds": None,
        "fold": 0,
        "fraction": 1.0,
        "fraction_seed": 0,
        "unlabelled_source": None,
        "unlabelled_share": 1.0,
        **changes,
    }
    finetune = FinetuneConfig.model_construct(imgsz=imgsz)
    return Config.model_construct(data=DataConfig(**values), compute=LOCAL, finetune=finetune)
