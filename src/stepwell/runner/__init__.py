"""The verbs of Stepwell: start, signal, cancel, retry, read. May import `execution` and below, never `worker`."""
