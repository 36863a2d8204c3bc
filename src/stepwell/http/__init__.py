"""What a FastAPI application serves for Stepwell: webhooks, health, runs. Errors are problems (RFC 9457).

The only room besides `stepwell/fastapi.py` that imports FastAPI. May import `triggers`, `runner` and below; the Stepwell
that it serves is handed in by `mount`.
"""
