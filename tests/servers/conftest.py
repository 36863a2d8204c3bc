from servers.fixtures import postgres_server, valkey_server  # noqa: F401
