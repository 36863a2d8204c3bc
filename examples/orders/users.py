"""Who is calling. The header stands for whatever authentication your backend has."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, HTTPException

from examples.orders.settings import settings


def current_user(x_user: Annotated[str, Header()]) -> str:
    return x_user


CurrentUser = Annotated[str, Depends(current_user)]


def operator(user: CurrentUser) -> str:
    if user != settings.operator:
        raise HTTPException(403, "This is for the operator.")
    return user


Operator = Annotated[str, Depends(operator)]
