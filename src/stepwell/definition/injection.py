"""Injection is FastDepends': `Annotated[T, Depends(fn)]` marks a parameter that Stepwell fills (semantics 40)."""

from __future__ import annotations

from fast_depends import Depends

__all__ = ["Depends"]
