"""Schema of conf/data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.automatic import Automatic
from pipeline.config.fields import ConfigGroup, Count, CountOrZero, PixelCount, Positive, Seed
from pipeline.config.source_paths import describe_source, list_source_paths, name_source
from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.tasks import TASKS


class SplitWeights(ConfigGroup):
    """Relative weights of the three splits; their sum need not be 1."""

    train: Positive
    val: Positive
    test: Positive


class ClassesConfig(ConfigGroup):
    """Which classes are used, and their names; classes renamed to the same name are merged.

    `keep` lists the classes that are used, null means all; `drop` lists those that are not; `rename` maps
    names in the source to names in the model.
    """

    keep: list[str] | None
    drop: list[str]
    rename: dict[str, str]


class DataConfig(ConfigGroup):
    """The source of images, their task, the split, and default training length and image size.

    conf/finetune refers to `epochs` and `imgsz` by default.
    """

    format: Literal["auto", "demo", "shapes", *ANNOTATION_FORMATS]  # type: ignore[valid-type]
    task: Literal["auto", *TASKS]  # type: ignore[valid-type]
    source: str | list[str] | None
    classes: ClassesConfig
    on_defect: Literal["fix", "quarantine", "refuse"]
    unlabelled: Literal["auto", "background", "leave_out", "refuse"]
    crowds: Literal["auto", "ignore", "objects"]
    predictions: Literal["ignore", "labels"]
    labels: Literal["auto", "shares", "percent", "pixels", "corners", "pixel_corners"]
    first_class: Literal["auto", 0, 1]
    sizes: Literal["refuse", "trust_annotation", "trust_image"]
    split: SplitWeights
    keep_split: bool
    group_by: str | None
    near_duplicates: bool
    on_leak: Literal["refuse", "allow"]
    folds: Annotated[int, Field(ge=2)] | None
    fold: CountOrZero
    seed: Seed
    fraction: Annotated[float, Field(gt=0, le=1)]
    fraction_seed: Seed
    unlabelled_source: Annotated[str, Field(min_length=1)] | None
    unlabelled_share: Annotated[float, Field(gt=0, le=100)]
    images: Count | None
    pixels: Annotated[int, Field(ge=64, le=4096)] | None
    samples: CountOrZero
    epochs: Count | Automatic
    imgsz: PixelCount

    @property
    def source_name(self) -> str:
        """A short name of the images: of their folders, or of the format where they are drawn."""
        return name_source(self.source) or str(self.format)

    @property
    def source_text(self) -> str:
        """data.source as messages show it."""
        return describe_source(self.source)

    @model_validator(mode="after")
    def _check_fold(self) -> DataConfig:
        if self.fold >= (self.folds or 1):
            raise ValueError(
                f"data.fold={self.fold} is not below data.folds={self.folds or 'null'}: folds count from 0"
            )
        return self

    @model_validator(mode="after")
    def _check_drawn_or_read(self) -> DataConfig:
        drawn = self.format in {"demo", "shapes"}
        if drawn and (self.images is None or self.pixels is None):
            raise ValueError(f"data.images and data.pixels must be numbers where data.format={self.format}")
        if drawn and self.source is not None:
            raise ValueError(f"data.source must be null where data.format={self.format}, which is drawn")
        if drawn and self.classes != ClassesConfig(keep=None, drop=[], rename={}):
            raise ValueError(f"data.classes must be empty where data.format={self.format}, which is drawn")
        if not drawn and not (self.source and all(list_source_paths(self.source))):
            raise ValueError(f"data.source must name a folder where data.format={self.format}")
        if not drawn and (self.images, self.pixels) != (None, None):
            raise ValueError(f"data.images and data.pixels must be null where data.format={self.format}")
        return self

    @model_validator(mode="after")
    def _check_split_sizes(self) -> DataConfig:
        weights = self.split.model_dump()
        for name, weight in weights.items():
            if self.images is not None and self.images * weight < sum(weights.values()):
                raise ValueError(f"data.images={self.images} leaves no image for data.split.{name}={weight}")
        return self
