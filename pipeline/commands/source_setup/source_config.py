"""Load how a source is read: from conf/data/auto.yaml alone, or as Hydra composes it, which takes longer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from pipeline.commands.command_line.override_words import parse_key
from pipeline.config.automatic import Automatic
from pipeline.config.groups.data import DataConfig
from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.errors import UserError

AUTO_CONFIG_FILE: Final = Path(__file__).parents[3] / "conf/data/auto.yaml"


class SourceConfig(NamedTuple):
    """How a source is read and its images are trained.

    Attributes:
        data: The values of conf/data.
        imgsz: The size that images are trained at; auto where the training chooses it.
        overrides: The Hydra overrides that are in it.
    """

    data: DataConfig
    imgsz: int | Automatic
    overrides: tuple[str, ...] = ()


def load_source_config(paths: Sequence[str], form: str) -> SourceConfig:
    """Load conf/data/auto.yaml with another source. It takes a tenth of the time that Hydra takes.

    Args:
        paths: The source, as in data.source.
        form: Its format, as in data.format; auto takes that of the file.

    Raises:
        UserError: There is no such format, or the file is missing or wrong.
    """
    import yaml

    if form not in {"auto", *ANNOTATION_FORMATS}:
        raise UserError(f"unknown format {form}: use auto, or one of {', '.join(ANNOTATION_FORMATS)}")
    try:
        values = yaml.safe_load(AUTO_CONFIG_FILE.read_text("utf-8"))
        chosen = {} if form == "auto" else {"format": form}
        source = paths[0] if len(paths) == 1 else list(paths)
        data = DataConfig.model_validate({**values, "source": source, **chosen})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"conf/data/auto.yaml: {key}: {first['msg']}") from None
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise UserError(f"conf/data/auto.yaml cannot be read: {error}") from None
    return SourceConfig(data, data.imgsz)


def find_training_imgsz(default: int | Automatic) -> int | Automatic:
    """Return the finetune.imgsz of a training on any source.

    Args:
        default: It is returned where there is no valid configuration.
    """
    from pipeline.compose.stage import plan_config

    try:
        return plan_config(["data=auto", "data.source=any"]).finetune.imgsz
    except UserError:
        return default


def compose_source_config(paths: Sequence[str], form: str, overrides: Sequence[str]) -> SourceConfig:
    """Compose conf/ with `data: auto`, another source and overrides.

    Args:
        paths: The source, as in data.source.
        form: Its format, as in data.format; auto takes that of conf/ or of an override.
        overrides: Hydra overrides; one may name another file of conf/data.

    Raises:
        UserError: An override is wrong.
    """
    from pipeline.compose.override_keys import require_known_key
    from pipeline.compose.stage import plan_config

    keys = [parse_key(word) for word in overrides]
    for key in keys:
        require_known_key(key)
    if form != "auto" and "data.format" in keys:
        raise UserError("give the format once: by --format or by data.format=")
    group = [] if "data" in keys else ["data=auto"]
    chosen = [] if form == "auto" else [f"data.format={form}"]
    config = plan_config([*group, *chosen, "data.source=any", *overrides])  # a path might need quotes
    data = config.data.model_copy(update={"source": paths[0] if len(paths) == 1 else list(paths)})
    return SourceConfig(data, config.finetune.imgsz, tuple(overrides))
