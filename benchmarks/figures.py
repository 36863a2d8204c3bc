"""Medians, percentiles and rates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

MILLISECOND = 1_000_000


def latency(name: str, nanoseconds: Sequence[int]) -> dict[str, float]:
    """p50 and p99 of `nanoseconds`, in milliseconds, named `<name>_p50_ms` and `<name>_p99_ms`."""
    ordered = sorted(nanoseconds)
    p99 = quantiles(ordered, n=100, method="inclusive")[98] if len(ordered) > 1 else ordered[0]
    return {f"{name}_p50_ms": median(ordered) / MILLISECOND, f"{name}_p99_ms": p99 / MILLISECOND}


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The median of the neighbours' ratios, or the ratio of the medians where they don't pair up; None if empty."""
    if not first or not second or not all(second):
        return None
    if len(first) == len(second):
        return median(one / other for one, other in zip(first, second, strict=True))
    return median(first) / median(second)
