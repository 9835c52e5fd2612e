"""One's own account: another password."""

from __future__ import annotations

from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from clinic_panel.context import Context
from clinic_panel.errors import ClinicError, Invalid, LockedOut
from clinic_panel.services import auth
from clinic_panel.services.passwords import MIN_LENGTH
from clinic_panel.web import notices
from clinic_panel.web.door import Door
from clinic_panel.web.signin import hand_over

TEMPLATE = "password.html"
DIFFERENT = "The two new passwords differ."


def router(door: Door) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    person = Depends(door.allows())

    @routes.get("/password")
    async def ask(ctx: Context = person) -> Response:
        return _form(ctx)

    @routes.post("/password")
    async def change(
        request: Request,
        ctx: Context = person,
        present: Annotated[str, Form(max_length=4096)] = "",
        password: Annotated[str, Form(max_length=4096)] = "",
        again: Annotated[str, Form(max_length=4096)] = "",
    ) -> Response:
        try:
            if password != again:
                raise Invalid(DIFFERENT, field="again")
            signed_in = await anyio.to_thread.run_sync(
                auth.change_own_password, ctx, present, password, limiter=door.hashing
            )
        except (Invalid, LockedOut) as error:
            return notices.with_wait(_form(ctx, error), error)
        door.cache.clear()
        response = notices.render(TEMPLATE, done=True)
        hand_over(door, request, response, signed_in.token)
        return response

    return routes


def _form(ctx: Context, error: ClinicError | None = None) -> Response:
    return notices.render(
        TEMPLATE,
        200 if error is None else notices.status_of(error),
        username=ctx.actor.username,
        least=MIN_LENGTH,
        problem=error.message if error is not None else "",
        field=error.field if isinstance(error, Invalid) else "present",
    )
