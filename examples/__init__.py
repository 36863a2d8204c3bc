"""Applications that run, executed by the tests: each is a package with a `__main__`, or a file of `hosts`."""
