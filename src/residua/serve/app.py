"""The application: every route of the server, in the ASGI form that uvicorn and Ray Serve run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from residua.serve import documents, metrics
from residua.serve.guard import Guard, error_response
from residua.serve.limits import STANDARD, Limits
from residua.serve.model import ServedModel
from residua.serve.pages import INDEX, page_files, page_response
from residua.serve.predictions import PredictionRequests
from residua.serve.problems import Refusal
from residua.serve.service import Service
from residua.serve.tensors import inputs_of, outputs_of
from residua.version import __version__

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig  # FastAPI of 2026-11; older ones have no telemetry

TOPK = 5
"""Classes of an image by default."""
NO_TELEMETRY: "TelemetryConfig" = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI could send traces elsewhere, where the environment says so."""


def create_app(model: ServedModel, limits: Limits = STANDARD) -> FastAPI:
    """The application that serves a network.

    Args:
        model: The network.
        limits: What requests may use.

    Returns:
        The application; its `state.service` is the service.

    Raises:
        NonFiniteError: The network computes NaN or infinity.
    """
    service = Service(model, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = _Application(
        title="residua",
        version=__version__,
        summary="Predictions of a residual network.",
        docs_url=None,  # its page loads scripts of other hosts
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
    )
    app.state.service = service
    app.add_middleware(Guard, service=service)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _wrong_query)
    _add_health(app, service)
    _add_protocol(app, service)
    _add_page(app)
    return app


class _Application(FastAPI):
    """FastAPI whose document does not name its own form of errors."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if not self.openapi_schema:
            self.openapi_schema = documents.without_validation_errors(super().openapi())
        return self.openapi_schema


def _add_health(app: FastAPI, service: Service) -> None:
    """Routes that say whether the server lives and accepts requests, and what it counted."""

    def ready() -> JSONResponse:
        return JSONResponse({"ready": not service.is_draining}, 503 if service.is_draining else 200)

    @app.get("/health/live", responses=documents.LIVE)
    @app.get("/v2/health/live", responses=documents.LIVE)
    async def health_live() -> JSONResponse:
        """Whether the process lives."""
        return JSONResponse({"live": True})

    @app.get("/health/ready", responses=documents.READY)
    @app.get("/v2/health/ready", responses=documents.READY)
    async def health_ready() -> JSONResponse:
        """Whether requests are accepted."""
        return ready()

    @app.get("/v2/models/{name}/ready", responses=documents.READY | documents.UNKNOWN)
    async def model_ready(name: str) -> JSONResponse:
        """Whether requests for this network are accepted."""
        _check_name(service, name)
        return ready()

    @app.get("/metrics", responses=documents.METRICS, response_class=Response)
    async def metrics_text() -> Response:
        """Counters in the text format of Prometheus."""
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)


def _add_protocol(app: FastAPI, service: Service) -> None:
    """Routes that describe the network and compute with it."""
    predictions = PredictionRequests(service)

    @app.get("/v2", responses=documents.SERVER)
    async def server() -> JSONResponse:
        """The server, as the Open Inference Protocol describes it."""
        extensions = ["binary_tensor_data", "classification"]
        about = {"name": "residua", "version": __version__, "extensions": extensions}
        return JSONResponse(about | {"models": [service.model.name]})

    @app.get("/v2/models/{name}", responses=documents.MODEL | documents.UNKNOWN)
    async def model_metadata(name: str) -> JSONResponse:
        """The network: inputs, output, classes and preprocessing."""
        _check_name(service, name)
        return JSONResponse(describe_model(service.model))

    @app.get("/model", responses=documents.ABOUT)
    async def about() -> JSONResponse:
        """The network and the limits, for the page."""
        return JSONResponse(describe_for_page(service))

    @app.post(
        "/v2/models/{name}/infer",
        responses=documents.INFER | documents.UNKNOWN | documents.REFUSED,
        openapi_extra=documents.INFER_BODY,
    )
    async def infer(request: Request, name: str) -> Response:
        """Predict tensors, in JSON or with the binary extension."""
        _check_name(service, name)
        return await predictions.infer(request)

    @app.post(
        "/predict", responses=documents.PREDICT | documents.REFUSED, openapi_extra=documents.PREDICT_BODY
    )
    async def predict(
        request: Request,
        topk: Annotated[int, Query(ge=1, le=1 << 20, description="Classes of each image.")] = TOPK,
        cam: Annotated[bool, Query(description="Add Grad-CAM as a transparent picture.")] = False,
    ) -> Response:
        """Predict an image, or several files of a form."""
        return await predictions.predict(request, topk, cam)


def _add_page(app: FastAPI) -> None:
    """The page and its files; the application holds them in memory."""
    files = page_files()

    @app.get("/", responses=documents.PAGE | documents.UNKNOWN, response_class=Response)
    async def page(request: Request) -> Response:
        """The page for people."""
        return page_response(request, files.get(INDEX))

    @app.get("/assets/{name}", responses=documents.PAGE | documents.UNKNOWN, response_class=Response)
    async def asset(request: Request, name: str) -> Response:
        """A file of the page."""
        return page_response(request, files.get(name))


def describe_model(model: ServedModel) -> dict[str, Any]:
    """A network as the Open Inference Protocol describes it, with its classes among the parameters."""
    preprocess = model.preprocess
    return {
        "name": model.name,
        "versions": ["1"],
        "platform": f"residua_{model.engine}",
        "inputs": inputs_of(model),
        "outputs": outputs_of(model),
        "parameters": {
            "task": model.task,
            "engine": model.engine,
            "classes": list(model.classes),
            "size": preprocess.size,
            "resize": preprocess.resize,
            "colour": preprocess.colour,
            "cam": not model.no_cam,
            "cam_reason": model.no_cam,
        },
    }


def describe_for_page(service: Service) -> dict[str, Any]:
    """What the page shows of the network, and what it keeps to."""
    model, preprocess = service.model, service.model.preprocess
    return {
        "model": model.name,
        "task": model.task,
        "classes": list(model.classes),
        "reads": f"{preprocess.size} x {preprocess.size} {preprocess.colour}",
        "crop": preprocess.size / preprocess.resize,
        "engine": model.engine,
        "cam": not model.no_cam,
        "cam_reason": model.no_cam,
        "max_bytes": service.limits.body_bytes,
        "max_images": service.limits.images,
    }


def _check_name(service: Service, name: str) -> None:
    if name != service.model.name:
        raise Refusal(
            404, "no network of this name is served: GET /v2 names the one that is", reason="not found"
        )


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {
        404: "there is no such address: GET /openapi.json lists them all",
        405: "the method is not allowed here",
    }
    text = texts.get(error.status_code, "the request cannot be served")
    return error_response(error.status_code, text, error.headers)


async def _wrong_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    names = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
    return error_response(400, f"{names} cannot be used: GET /openapi.json says what is allowed")
