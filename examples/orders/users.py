"""The user who is calling. The header, or in a browser the cookie, stands for whatever authentication your backend has."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Header, HTTPException
from fastapi.responses import RedirectResponse

from examples.orders.settings import settings
from stepwell.fastapi import Principal

router = APIRouter(include_in_schema=False)


def current_user(x_user: Annotated[str | None, Header()] = None, user: Annotated[str | None, Cookie()] = None) -> str:
    found = x_user or user
    if found is None:
        raise HTTPException(401, "You aren't signed in: send the header X-User, or open /sign-in?user=ada.")
    return found


CurrentUser = Annotated[str, Depends(current_user)]


def operator(user: CurrentUser) -> str:
    if user != settings.operator:
        raise HTTPException(403, "This is for the operator.")
    return user


Operator = Annotated[str, Depends(operator)]


def principal(user: CurrentUser) -> Principal:
    """For Stepwell's API and Studio: customers see their own runs, the operator those of all users."""
    return Principal(user, "operator", everybody=user == settings.operator)


@router.get("/sign-in")
def sign_in(user: str) -> RedirectResponse:
    """Without a password: this is an example, on loopback."""
    answer = RedirectResponse("/studio/", 303)
    answer.set_cookie("user", user, httponly=True, samesite="lax")
    return answer
