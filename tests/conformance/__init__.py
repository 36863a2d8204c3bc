"""One suite for every backend: what the contract promises, through the public API."""
