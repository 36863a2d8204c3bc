"""The command line: one file per command. Data goes to stdout, everything else to stderr.

Exit codes: 0 completed, 1 failed or cancelled, 2 configuration or connection, 3 waiting for input. The only room that
imports Typer, Rich and uvicorn. May import everything but `testing`.
Rules are cited by their numbers in docs/rules.md.
"""


def main() -> None:
    """Run the program `stepwell`."""
    from stepwell.console.cli import program

    program.main()
