"""The one writer of a process: what gathers becomes one transaction, in a thread or on the event loop."""
