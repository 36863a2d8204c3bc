"""Applications that run: each is a package with a `__main__`, executed by the tests."""
