"""The one door to Jinja: a template of this folder and plain values -> a page that needs no other file.

Styles, charts (SVG) and pictures (data URIs) stand in the page itself, there is no script, and a policy lets
a browser load nothing else: it shows itself anywhere, MLflow's list of artifacts included.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from pipeline.core.text import format_count


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped, since names of files and classes come from outside."""
    return _environment().get_template(template).render(**values)


def data_uri(picture: NDArray[np.uint8], suffix: str = ".jpg") -> str:
    """Encode a picture (BGR or BGRA) so that it can stand in a page."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 82] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    encoded = base64.b64encode(cv2.imencode(suffix, picture, options)[1].tobytes()).decode()
    return f"data:image/{'jpeg' if suffix == '.jpg' else 'png'};base64,{encoded}"


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["plural"] = format_count
    return environment
