"""Render HTML pages with Jinja from the templates in this folder; a page needs no other file.

Styles, charts (SVG) and pictures (data URIs) are in the page itself, there is no script, and a policy lets a
browser load nothing else: the page can be shown anywhere, also in MLflow's list of artifacts.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import cv2
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.core.arrays import ImageArray
from pipeline.core.text import format_count


def render_page(template: str, **values: Any) -> str:
    """Render a template; every value is escaped, since names of files and classes come from outside."""
    return _create_environment().get_template(template).render(**values)


def encode_data_uri(picture: ImageArray, suffix: str = ".jpg") -> str:
    """Encode a picture (BGR or BGRA) as a data URI, to embed it in a page."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 82] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    encoded = base64.b64encode(cv2.imencode(suffix, picture, options)[1].tobytes()).decode()
    return f"data:image/{'jpeg' if suffix == '.jpg' else 'png'};base64,{encoded}"


@cache
def _create_environment() -> Environment:
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
