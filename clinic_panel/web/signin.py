"""In and out: the sign-in page, signing out, and where each role starts."""

from __future__ import annotations

from typing import Annotated

import anyio
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from clinic_panel.errors import Unauthenticated
from clinic_panel.models.user import Role
from clinic_panel.services import auth, sessions
from clinic_panel.services.sessions import Visit
from clinic_panel.web import notices
from clinic_panel.web.door import Door, address_of, safe_next

HOME = {Role.ANALYST: "/analytics", Role.ADMIN: "/admin"}
EVERYBODY_ELSE = "/schedule"
ENDED = "Your session has ended. Please sign in again."


def router(door: Door) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/login")
    async def login_page(request: Request, next: str = "/", why: str = "") -> Response:
        if await door.visit(request) is not None:
            return RedirectResponse(safe_next(next), 303)
        problem = ENDED if why == "ended" else ""
        return notices.render("login.html", next=safe_next(next), problem=problem, username="")

    @routes.post("/login")
    async def login(
        request: Request,
        username: Annotated[str, Form(max_length=64)] = "",
        password: Annotated[str, Form(max_length=4096)] = "",
        next: Annotated[str, Form(max_length=256)] = "/",
    ) -> Response:
        target = safe_next(next)
        before = door.token(request)
        try:
            signed_in = await anyio.to_thread.run_sync(
                auth.sign_in,
                door.ctx,
                username,
                password,
                address_of(request),
                limiter=door.hashing,
            )
        except Unauthenticated as error:
            response: Response = notices.render(
                "login.html",
                notices.status_of(error),
                next=target,
                problem=error.message,
                username=username,
            )
            return notices.with_wait(response, error)
        if before:
            await anyio.to_thread.run_sync(sessions.sign_out, door.ctx, before, door.cache)
        response = RedirectResponse(target, 303)
        hand_over(door, request, response, signed_in.token)
        return response

    @routes.api_route("/logout", methods=["GET", "POST"])
    async def logout(request: Request) -> Response:
        token = door.token(request)
        if token:
            await anyio.to_thread.run_sync(sessions.sign_out, door.ctx, token, door.cache)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(
            door.cookie(request.url.scheme),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            path="/",
        )
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    @routes.get("/")
    async def start(request: Request) -> Response:
        visit: Visit = request.scope["user"]
        return RedirectResponse(HOME.get(visit.actor.role, EVERYBODY_ELSE), 303)

    @routes.get("/favicon.ico")
    async def favicon() -> Response:
        return RedirectResponse("/static/clinic/favicon.svg", 301)

    return routes


def hand_over(door: Door, request: Request, response: Response, token: str) -> None:
    """Give a browser the token of its session, out of reach of any script."""
    response.set_cookie(
        door.cookie(request.url.scheme),
        token,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
