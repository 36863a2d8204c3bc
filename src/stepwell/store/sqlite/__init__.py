"""SQLite: its engine and file, its own operations, and the store on it."""
