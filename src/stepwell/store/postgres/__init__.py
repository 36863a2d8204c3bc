"""PostgreSQL: its engines and schema, its own operations, and the store on it."""
