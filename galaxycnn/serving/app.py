"""The routes: the page, and the endpoint that it and everybody else calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

import galaxycnn
from galaxycnn.errors import UserError
from galaxycnn.serving.examples import EXAMPLES, example_png
from galaxycnn.serving.limits import Rate, Refused, Room
from galaxycnn.serving.predictor import Predictor
from galaxycnn.serving.replies import Card, Health, Predictions, Problem
from galaxycnn.serving.uploads import Form, read_form

T = TypeVar("T")

PAGE = Path(__file__).parent / "page"
EXPLANATION = 4
"""How many images an explanation counts as."""
LARGEST_PICTURE = 1024
"""Longest side of a picture to show, in pixels."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every reply: the page runs and shows nothing that is not its own, and is not shown in others."""

ABOUT = "Predictions of galaxy morphology. Nothing that is sent outlives its request."
PROBLEMS: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "The request took too long to arrive"},
    413: {"model": Problem, "description": "Too many bytes, pixels or files"},
    415: {"model": Problem, "description": "Not an image of a known type, or not multipart/form-data"},
    422: {"model": Problem, "description": "A damaged image, or a field that is missing or wrong"},
    429: {"model": Problem, "description": "Too many images a minute; Retry-After says when to go on"},
    503: {"model": Problem, "description": "Busy; Retry-After says when to try again"},
}


def _form(**properties: dict[str, Any]) -> dict[str, Any]:
    """The description of a form, of which the first field is needed."""
    schema = {"type": "object", "properties": properties, "required": [next(iter(properties))]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_FILE = {"type": "string", "format": "binary"}
_PREDICT = _form(
    files={"type": "array", "items": _FILE, "description": "JPEG, PNG, TIFF or FITS"},
    picture={"type": "integer", "default": 0, "description": "longest side of a picture to reply with; 0: none"},
)
_EXPLAIN = _form(
    file=_FILE,
    question={"type": "string", "description": "its name or key, such as bar, or a quantity; the first one by default"},
    method={"type": "string", "default": "gradcam", "description": "one of those that /api/model names"},
)


def make_app(predictor: Predictor) -> FastAPI:
    """The page and the endpoint for one model.

    Args:
        predictor: what answers; it works in one thread of its own, one job after the other.
    """
    limits = predictor.limits
    rate, room, worker = Rate(limits.per_minute), Room(limits.waiting), ThreadPoolExecutor(1, "predictor")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.shutdown(cancel_futures=True)

    app = FastAPI(
        title="galaxycnn",
        version=galaxycnn.__version__,
        description=ABOUT,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )

    async def job(work: Callable[..., T], *words: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(worker, partial(work, *words))

    @contextmanager
    def served(request: Request) -> Iterator[Callable[[int], None]]:
        """A place for a request, and what counts the images of its client beyond the first."""
        client = request.client.host if request.client else ""
        rate.take(client, 1)
        with room.place():
            yield lambda images: rate.take(client, images - 1)

    async def files_of(request: Request, field: str) -> Form:
        form = await read_form(request, limits)
        if not form.files:
            raise Refused(422, f"there is no file in the field {field!r}")
        return form

    @app.post("/api/predict", response_model=Predictions, responses=PROBLEMS, openapi_extra=_PREDICT, tags=["api"])
    async def predict(request: Request) -> Any:
        """Vote fractions, words, flags and quantities of one or many images.

        Where some of the files cannot be used, their ``reason`` says why. Where none can, the status is that of the
        first one's problem.
        """
        with served(request) as count:
            form = await files_of(request, "files")
            count(len(form.files))
            side = min(_whole(form.fields.get("picture", "0"), "picture"), LARGEST_PICTURE)
            galaxies, refused = await job(predictor.predict, form.files, side)
        if len(refused) == len(galaxies):
            first = f"{galaxies[0].file}: {refused[0]}"
            return _problem(refused[0].status, Problem(detail=first, galaxies=galaxies))
        return Predictions(model=predictor.name, galaxies=galaxies)

    @app.post(
        "/api/explain",
        response_class=Response,
        responses={**PROBLEMS, 200: {"content": {"image/png": {}}, "description": "the map over what was looked at"}},
        openapi_extra=_EXPLAIN,
        tags=["api"],
    )
    async def explain(request: Request) -> Response:
        """What in an image speaks for the most likely answer to a question, as a PNG.

        The header ``X-Answer`` says which answer that is, with its share of those who were asked (percent-encoded).
        """
        with served(request) as count:
            form = await files_of(request, "file")
            if len(form.files) > 1:
                raise Refused(422, "one file is explained at a time")
            count(EXPLANATION)
            question = form.fields.get("question") or next(iter(predictor.names))
            found = await job(predictor.explain, form.files[0], question, form.fields.get("method") or "gradcam")
        return Response(found.png, media_type="image/png", headers={"X-Answer": quote(found.answer)})

    @app.get("/api/flow.svg", response_class=Response, responses={422: PROBLEMS[422]}, tags=["api"])
    def flow(fractions: Annotated[str, Query(max_length=20_000)], upright: bool = False) -> Response:
        """Vote fractions, in the order of the columns and with commas between them, as a drawing without colours."""
        try:
            numbers = [float(number) for number in fractions.split(",")]
        except ValueError:
            raise Refused(422, "fractions are numbers from 0 to 1 with commas between them") from None
        return Response(predictor.flow(numbers, upright), media_type="image/svg+xml")

    @app.get("/api/model", tags=["api"])
    def model() -> Card:
        """What the model answers, and what may be asked of it."""
        return predictor.card

    @app.get("/api/health", tags=["api"])
    async def health() -> Health:
        """The server is there."""
        return Health()

    _add_page(app)
    _add_replies(app)
    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/examples/{place}.png", include_in_schema=False)
    def example(place: int) -> Response:
        if not 0 <= place < len(EXAMPLES):
            return _problem(404, Problem(detail=f"there are {len(EXAMPLES)} examples, counted from 0"))
        png = example_png(EXAMPLES[place].number)
        return Response(png, media_type="image/png", headers={"Cache-Control": "max-age=86400"})

    @app.get("/examples", include_in_schema=False)
    def examples() -> list[str]:
        return [example.words for example in EXAMPLES]

    @app.get("/api", include_in_schema=False)
    def documentation() -> FileResponse:
        return FileResponse(PAGE / "api.html")

    app.mount("/", StaticFiles(directory=PAGE, html=True))


def _add_replies(app: FastAPI) -> None:
    """Security headers, and refusals in one sentence."""

    @app.middleware("http")
    async def headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store" if request.url.path.startswith("/api") else "no-cache")
        return response

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _problem(error.status, Problem(detail=str(error)), error.retry_after)

    @app.exception_handler(UserError)
    async def wrong(_: Request, error: UserError) -> Response:
        return _problem(422, Problem(detail=str(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _problem(422, Problem(detail=f"{first['loc'][-1]}: {first['msg']}"))


def _problem(status: int, problem: Problem, retry_after: int | None = None) -> JSONResponse:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse(problem.model_dump(), status, headers)


def _whole(text: str, field: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise Refused(422, f"{field} is a whole number, not {text[:20]!r}")
    return int(text)
