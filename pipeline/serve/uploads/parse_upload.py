"""Read what a client sends to /predict: image files as they are, a form, or JSON with base64.

Nothing that a client sends is taken for a path or a URL.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.text import format_count
from pipeline.serve.uploads.limits import RequestError, ServeLimits
from pipeline.serve.uploads.multipart import split_multipart

OPTION_FIELDS: Final = ("conf", "top")
FORM_HELP: Final = "a form has files, and the fields conf and top"


class PredictOptions(BaseModel):
    """What a request may ask for; in JSON, as fields of a form, or in the query.

    Attributes:
        conf: The lowest score that is answered; the server's own threshold by default, and at least that.
        top: Of classify: the number of classes that are answered, the most probable first.
    """

    model_config = ConfigDict(extra="forbid")

    conf: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    top: Annotated[int | None, Field(ge=1)] = None


class PredictBody(PredictOptions):
    """The body of a request in JSON.

    Attributes:
        images: Image files as base64 text; `data:` URIs are allowed.
    """

    images: Annotated[list[str], Field(min_length=1)]


class Upload(NamedTuple):
    """What a request asks for.

    Attributes:
        images: The contents of image files, one or more.
        options: See `PredictOptions`.
    """

    images: tuple[bytes, ...]
    options: PredictOptions


def parse_upload(body: bytes, content_type: str, query: Mapping[str, str], limits: ServeLimits) -> Upload:
    """Read the body of a request.

    Args:
        body: The whole body.
        content_type: `application/json`, `multipart/form-data`, `image/...` or `application/octet-stream`.
        query: The query of the address: `conf` and `top`.
        limits: The number of images is limited.

    Raises:
        RequestError: 400 for what is malformed, 413 for too many images, 415 for another type, 422 for a
            value that is not allowed.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        upload = _parse_json(body, query, limits)
    elif kind == "multipart/form-data":
        upload = _parse_form(body, content_type, query, limits)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        upload = Upload((body,), parse_options(query))
    else:
        told = f"the Content-Type {kind[:100]!r}" if kind else "a request without a Content-Type"
        raise RequestError(
            415, f"{told} is not read here: send image/..., multipart/form-data or application/json"
        )
    if not all(upload.images):
        raise RequestError(400, name_image(upload.images.index(b""), len(upload.images)) + " is empty")
    return upload


def parse_options(values: Mapping[str, Any]) -> PredictOptions:
    """Check the values of options.

    Raises:
        RequestError: A value is not allowed, or an option is unknown (422).
    """
    try:
        return PredictOptions.model_validate(dict(values))
    except ValidationError as error:
        raise RequestError(422, describe_validation_error(error)) from None


def describe_validation_error(error: ValidationError) -> str:
    """Return one sentence that says which value is wrong; values of a client are not repeated."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:100]
    if first["type"] == "extra_forbidden":
        return f"there is no option {where!r}: there are {', '.join(('images', *OPTION_FIELDS))}"
    return f"{where or 'the body'}: {first['msg']}"


def name_image(place: int, count: int) -> str:
    """Return what an image of a request is called in a sentence; `place` is from 0."""
    return "the file" if count == 1 else f"file {place + 1} of {count}"


def _parse_json(body: bytes, query: Mapping[str, str], limits: ServeLimits) -> Upload:
    most = 2 * limits.max_images + len(OPTION_FIELDS)  # one between two images, and one in each `data:` URI
    if body.count(b",") > most:  # each value would take a hundred times its bytes, and more for its error
        raise RequestError(413, f"the JSON has too many values: send {limits.max_images} images at most")
    try:
        parsed = PredictBody.model_validate_json(body)
    except ValidationError as error:
        status = 400 if error.errors()[0]["type"] == "json_invalid" else 422
        raise RequestError(status, describe_validation_error(error)) from None
    _limit_images(len(parsed.images), limits)
    given = {**parsed.model_dump(include={*OPTION_FIELDS}, exclude_none=True)}
    images = tuple(
        _decode_base64(text, place, len(parsed.images)) for place, text in enumerate(parsed.images)
    )
    return Upload(images, parse_options({**query, **given}))


def _decode_base64(text: str, place: int, count: int) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        reason = "is no base64 text; paths and URLs are not read"
        raise RequestError(400, f"{name_image(place, count)} {reason}") from None


def _parse_form(body: bytes, content_type: str, query: Mapping[str, str], limits: ServeLimits) -> Upload:
    parts = split_multipart(body, content_type, max_parts=limits.max_images + len(OPTION_FIELDS))
    images = tuple(part.data for part in parts if part.is_file)
    _limit_images(len(images), limits)
    if not images:
        raise RequestError(400, f"the form has no file: {FORM_HELP}")
    fields = [
        (part.name[:100], part.data[:100].decode("utf-8", "replace")) for part in parts if not part.is_file
    ]
    if len(dict(fields)) < len(fields):
        raise RequestError(422, f"the form has a field twice: {FORM_HELP}")
    return Upload(images, parse_options({**query, **dict(fields)}))


def _limit_images(count: int, limits: ServeLimits) -> None:
    if count > limits.max_images:
        most = format_count(limits.max_images, "image")
        raise RequestError(413, f"{count} images in one request: send {most} at most")
