"""What can go wrong at the operator's side: a sentence that names the cause and the way out."""


class OpsError(Exception):
    """Shown to the operator as it stands, without a trace. Exit code 1."""


def with_last_lines(message: str, log: str, way_out: str, *, count: int = 15) -> OpsError:
    """The error of something that wrote a log: cause, its last lines, what to do."""
    tail = (
        "\n".join(f"    {line}" for line in log.splitlines()[-count:]) or "    (its log is empty)"
    )
    return OpsError(f"{message}\n  Its last log lines:\n{tail}\n  {way_out}")
