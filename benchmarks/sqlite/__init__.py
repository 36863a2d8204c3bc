"""One process, with nothing but an SQLite file."""
