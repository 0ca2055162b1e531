"""`residua doctor`."""

from residua.cli.options import JSON
from residua.cli.terminal import console, next_line, put_json, show_table


def doctor(as_json: bool = JSON) -> None:
    """Print versions, devices, decoders and speed of this machine. Takes about 10 seconds.

    Example: residua doctor
    """
    from residua.jobs.doctor import check_machine

    checks = check_machine()
    if as_json:
        put_json({check.name: check.value for check in checks})
        return
    to = console()
    rows = [
        ("ok", c.name, c.value) if c.is_good else ("!!", c.name, f"{c.value}: {c.advice}") for c in checks
    ]
    show_table(to, ("", "what", "value"), rows)
    next_line(to, "residua demo")
