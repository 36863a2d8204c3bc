"""Access to the runs that a command is about: in a database, or behind the HTTP API of a server."""
