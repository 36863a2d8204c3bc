"""One process, with nothing but an SQLite file. Only `store_view.py` looks behind the public API."""
