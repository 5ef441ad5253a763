"""The HTTP interface: /predict, /health, /metrics and the page at /."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pipeline.core.version import VERSION
from pipeline.runtime.worker_count import count_available_cores
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.serve.page import build_page
from pipeline.serve.predict_requests import PredictRequests
from pipeline.serve.server_metrics import CONTENT_TYPE
from pipeline.serve.uploads.limits import RequestError, ServeLimits
from pipeline.serve.uploads.parse_upload import PredictBody

PREDICT_DOCUMENTATION: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": PredictBody.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "images": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "conf": {"type": "number"},
                        "top": {"type": "integer"},
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""Of /openapi.json: FastAPI does not read the body itself, since its limits would come too late."""


def build_application(service: PredictionService, limits: ServeLimits) -> FastAPI:
    """Build the application.

    Args:
        service: Predicts. It is closed when the application ends.
        limits: Of requests.
    """
    pool = ThreadPoolExecutor(count_available_cores(), thread_name_prefix="serve-decode")

    @asynccontextmanager
    async def close_at_end(_application: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)
        pool.shutdown()

    application = FastAPI(
        title="finetrack serve", version=VERSION, docs_url=None, redoc_url=None, lifespan=close_at_end
    )
    requests = PredictRequests(service, limits, pool)
    _add_errors(application, service)
    _add_status(application, service, requests)
    _add_predict(application, requests)
    return application


def _add_predict(application: FastAPI, requests: PredictRequests) -> None:
    @application.post("/predict", openapi_extra=PREDICT_DOCUMENTATION)
    async def predict(request: Request) -> Response:
        """Predict on one or several images."""
        return await requests.answer(request)


def _add_status(application: FastAPI, service: PredictionService, requests: PredictRequests) -> None:
    page, policy = build_page()

    @application.get("/health")
    async def health() -> Response:
        """Return whether the server can answer, and with which model."""
        alive, failure = service.is_alive, service.failure
        content: dict[str, Any] = {
            "status": "ok" if alive else "failed",
            "model": service.identity.to_json() | {"names": service.identity.names},
            "limits": requests.limits._asdict(),
        }
        if failure is not None:
            content["reload"] = failure._asdict()
        return JSONResponse(content, 200 if alive else 503)

    @application.get("/metrics")
    async def metrics() -> Response:
        """Return metrics in Prometheus' text format."""
        model = {key: str(value or "") for key, value in service.identity.to_json().items()}
        labels = {key: model[key] for key in ("reference", "label", "run", "version", "sha256", "task")}
        text = service.metrics.format(waiting=service.waiting, active=requests.active, model=labels)
        return Response(text, media_type=CONTENT_TYPE)

    @application.get("/", include_in_schema=False)
    async def show_page() -> Response:
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})


def _add_errors(application: FastAPI, service: PredictionService) -> None:
    def build_answer(status: int, reason: str, headers: dict[str, str]) -> Response:
        return JSONResponse({"error": reason, "model": service.identity.to_json()}, status, headers)

    @application.exception_handler(RequestError)
    async def refuse(_request: Request, error: RequestError) -> Response:
        headers = {"Connection": "close"} if error.closes else {}
        if error.status == 503:
            headers["Retry-After"] = "1"
        return build_answer(error.status, error.reason, headers)

    @application.exception_handler(HTTPException)
    async def refuse_address(request: Request, error: HTTPException) -> Response:
        reason = f"{request.method} {request.url.path[:100]}: {error.detail}"
        return build_answer(error.status_code, reason, dict(error.headers or {}))
