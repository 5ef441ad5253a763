"""The values of conf/data/auto.yaml for a source that is only looked at. Hydra would take half a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.config.data import DataConfig
from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.errors import UserError

AUTO_CONFIG_FILE: Final = Path(__file__).parents[2] / "conf/data/auto.yaml"


def load_source_config(paths: Sequence[str], form: str) -> DataConfig:
    """Return the values of conf/data/auto.yaml with another source.

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
        return DataConfig.model_validate({**values, "source": source, **chosen})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"conf/data/auto.yaml: {key}: {first['msg']}") from None
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise UserError(f"conf/data/auto.yaml cannot be read: {error}") from None
