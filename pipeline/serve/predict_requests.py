"""Answer requests to /predict: receive, decode, predict, format."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
from fastapi import Request
from fastapi.responses import Response
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.progress import print_notice
from pipeline.serve.answers import format_prediction
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.inference.prediction_queue import PredictionJob, RequestResult
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.serve.uploads.decode_upload import decode_upload, read_image_size
from pipeline.serve.uploads.limits import RequestError, ServeLimits
from pipeline.serve.uploads.memory_budget import MemoryBudget
from pipeline.serve.uploads.parse_upload import PredictOptions, Upload, name_image, parse_upload
from pipeline.serve.uploads.request_body import receive_body, wait_for_disconnect

BYTES_PER_PIXEL: Final = 3
GONE: Final = 499
"""Status where the client was gone before its answer, as nginx counts it. Nobody receives it."""
_T = TypeVar("_T")


class PredictRequests:
    """Answers requests to /predict, many at once.

    Attributes:
        limits: Of requests.
        active: Requests that are received, waiting or running.
    """

    def __init__(self, service: PredictionService, limits: ServeLimits, pool: ThreadPoolExecutor) -> None:
        """Prepare.

        Args:
            service: Predicts.
            limits: Of requests.
            pool: Threads that parse, decode and format.
        """
        self.limits, self.active = limits, 0
        self._service, self._pool = service, pool
        self._bodies, self._pixels = MemoryBudget(limits.max_memory), MemoryBudget(limits.max_memory)

    async def answer(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            RequestError: It is refused, or its prediction failed.
        """
        async with self._count():
            try:
                return await self._answer(request)
            except ClientDisconnect:
                return Response(status_code=GONE)
            except RequestError:
                raise
            except Exception as error:  # one request must not end the others
                raise _build_error(error) from error

    @asynccontextmanager
    async def _count(self) -> AsyncIterator[None]:
        if self.active >= self.limits.max_requests:
            raise RequestError(503, "the server is busy: send the request again", closes=True)
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def _answer(self, request: Request) -> Response:
        async with self._bodies.reserve(self._state_bytes(request)):
            body = await receive_body(request, self.limits)
            query, kind = _read_query(request), request.headers.get("content-type", "")
            upload: Upload = await self._run(parse_upload, body, kind, query, self.limits)
            del body
            _check_options(upload.options, self._service.identity)
            pixels = await self._run(self._count_pixels, upload.images)
            async with self._pixels.reserve(pixels * BYTES_PER_PIXEL):
                images = await self._run(_decode, upload.images)
                options = upload.options
                del upload
                result = await self._predict(request, images)
        if result is None:
            return Response(status_code=GONE)
        sizes = [image.shape[:2] for image in images]
        return await self._run(_build_answer, result, sizes, options)

    def _state_bytes(self, request: Request) -> int:
        stated = request.headers.get("content-length", "")
        known = int(stated) if stated.isascii() and stated.isdecimal() else self.limits.max_bytes
        return min(known, self.limits.max_bytes, self.limits.max_memory)

    def _count_pixels(self, images: Sequence[bytes]) -> int:
        total = 0
        for place, data in enumerate(images):
            with_name = partial(_name_refusal, place, len(images))
            width, height = with_name(read_image_size, data, max_pixels=self.limits.max_pixels)
            total += width * height
        most = self.limits.max_memory // BYTES_PER_PIXEL
        if total > most:
            raise RequestError(
                413, f"the images have {total:,} pixels together: send {most:,} at most at once"
            )
        return total

    async def _predict(self, request: Request, images: Sequence[NDArray[np.uint8]]) -> RequestResult | None:
        """Wait for the result; None if the client went away before."""
        job: PredictionJob = self._service.submit(images)
        result = asyncio.wrap_future(job.future)
        gone = asyncio.ensure_future(wait_for_disconnect(request))
        try:
            await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
            return await result if result.done() else None
        finally:
            gone.cancel()
            result.cancel()

    async def _run(self, function: Callable[..., _T], *values: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *values))


def _read_query(request: Request) -> Mapping[str, str]:
    items = request.query_params.multi_items()
    if len(dict(items)) < len(items):
        raise RequestError(422, "the query of the address has an option twice")
    return dict(items)


def _check_options(options: PredictOptions, model: ModelIdentity) -> None:
    """Refuse options that would have no effect, or another one than asked for."""
    if model.task == "classify" and options.conf is not None:
        raise RequestError(422, "conf: a model of classify answers classes; use top for their number")
    if model.task != "classify" and options.top is not None:
        raise RequestError(
            422, f"top: a model of {model.task} answers objects; use conf for their lowest score"
        )
    if options.conf is not None and options.conf < model.conf:
        raise RequestError(
            422, f"conf: scores below {model.conf:g} are not served; start the server with a lower --conf"
        )


def _decode(images: Sequence[bytes]) -> list[NDArray[np.uint8]]:
    return [_name_refusal(place, len(images), decode_upload, data) for place, data in enumerate(images)]


def _name_refusal(place: int, count: int, function: Callable[..., _T], *values: Any, **named: Any) -> _T:
    """Call a function; say in a refusal which image it is about."""
    try:
        return function(*values, **named)
    except RequestError as error:
        raise RequestError(error.status, f"{name_image(place, count)} {error.reason}") from None


def _build_answer(result: RequestResult, sizes: Sequence[Sequence[int]], options: PredictOptions) -> Response:
    _check_options(options, result.model)  # another model may have taken over
    predictions = [
        format_prediction(prediction, size, result.model, options)
        for prediction, size in zip(result.predictions, sizes, strict=True)
    ]
    times = {"waited": round(result.waited * 1000, 2), "predicted": round(result.predicted * 1000, 2)}
    content = {"model": result.model.to_json(), "predictions": predictions, "milliseconds": times}
    text = json.dumps(content, allow_nan=False)
    return Response(text, media_type="application/json", headers=result.model.build_headers())


def _build_error(error: Exception) -> RequestError:
    print_notice(f"serve: a request failed: {type(error).__name__}: {error}")
    if sentence := describe_machine_error(error):
        return RequestError(503, sentence)
    return RequestError(500, "the server failed on this request; its log says more")
