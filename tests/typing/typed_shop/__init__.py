"""An application of a user's, checked by mypy and pyright: lines with `# error:` must be refused, all others accepted."""
