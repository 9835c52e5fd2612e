"""Answers that are no page of the product: sign-in, refusals, faults."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from clinic_panel import errors
from clinic_panel.errors import ClinicError

STATUS_OF: dict[type[ClinicError], int] = {
    errors.LockedOut: 429,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.NotDisplayable: 415,
    errors.NotUnderstood: 415,
    errors.Conflict: 409,
    errors.Invalid: 422,
    errors.StorageFull: 507,
    errors.PeerUnavailable: 502,
    errors.Unavailable: 503,
}
TITLES = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    429: "Please wait",
    500: "Something went wrong",
    503: "Not available",
}
MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address does not answer such a request.",
    500: "The clinic's log says more. What you did before is kept.",
}
# These pages run no script at all.
STRICT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def status_of(error: ClinicError) -> int:
    """Return the HTTP status that says what went wrong."""
    for kind in type(error).__mro__:
        if kind in STATUS_OF:
            return STATUS_OF[kind]
    return 500


def problem(connection: HTTPConnection, error: ClinicError) -> Response:
    """Answer with one sentence: a page for a person, plain text for a program."""
    return with_wait(page(connection, status_of(error), error.message), error)


def with_wait(response: Response, error: ClinicError) -> Response:
    """Say to programs, too, for how long somebody is locked out."""
    if isinstance(error, errors.LockedOut):
        response.headers["Retry-After"] = str(error.wait_s)
    return response


def page(connection: HTTPConnection, status: int, message: str = "") -> Response:
    """Answer with a status and what it means."""
    title = TITLES.get(status, "Something went wrong")
    text = message or MESSAGES.get(status, title)
    if "text/html" not in connection.headers.get("accept", ""):
        return PlainTextResponse(text, status)
    return render("error.html", status, title=title, message=text)


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return one of the pages outside the product's frame."""
    filled = _templates().get_template(template).render(values, status=status)
    return HTMLResponse(filled, status, headers={"Content-Security-Policy": STRICT})


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
