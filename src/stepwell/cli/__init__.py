"""The command line: one file per command. Data goes to stdout, everything else to stderr.

Exit codes: 0 completed, 1 failed or cancelled, 2 configuration or connection, 3 waiting for input. The only room that
imports Typer, Rich and uvicorn. May import everything but `testing`.
"""


def main() -> None:
    """The program `stepwell`."""
    from stepwell.cli import program

    program.main()
