"""The HTTP side of Stepwell in a FastAPI application: webhooks, health, runs. Errors are problems (RFC 9457).

The only room besides `stepwell/fastapi.py` that imports FastAPI. May import `console/reading`, `triggers`, `runner` and
what these may import, except for `store`. The Stepwell that it serves is handed in by `mount`.
Rules are cited by their numbers in docs/rules.md.
"""
