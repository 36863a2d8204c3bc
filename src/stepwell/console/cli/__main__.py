"""`python -m stepwell.console.cli`."""

from stepwell.console.cli import main

main()
