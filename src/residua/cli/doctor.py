"""`residua doctor`."""

import typer

from residua.cli.terminal import console, next_line, put_json, show_table


def doctor(as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout.")) -> None:
    """Look at this machine, and how fast it is.

    Example: residua doctor
    """
    from residua.jobs.doctor import examine

    findings = examine()
    if as_json:
        put_json({finding.what: finding.found for finding in findings})
        return
    to = console()
    rows = [("ok", f.what, f.found) if f.good else ("!!", f.what, f"{f.found}: {f.advice}") for f in findings]
    show_table(to, ("", "what", "found"), rows)
    next_line(to, "residua demo")
