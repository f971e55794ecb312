"""Whether broker and database run as containers or as processes, and why; no more than that."""

from collections.abc import Callable
from typing import NamedTuple

from ops.failures import OpsError
from ops.settings import Backend, Kind

PLACES = {"docker": "volumes of containers", "process": "plain directories"}
PULL_WITHIN = {"docker": 900.0, "auto": 180.0}  # seconds, for whoever asked for it


class Choice(NamedTuple):
    kind: Kind
    why: str


def decide(
    asked: Backend | None, kept: Kind | None, obstacle: Callable[[float], str | None]
) -> Choice:
    """asked: None if nobody said anything: as auto, but no registry is asked for images.

    kept: what the data of this home lie in, if it has any. obstacle: why containers cannot be had,
    given the seconds for getting the images; None if they can. Raises OpsError.
    """
    if kept and asked in (None, "auto", kept):
        return Choice(kept, "its data are there")
    if kept:
        raise OpsError(
            f"PRM_BACKEND={asked} would not see the data here: they lie in {PLACES[kept]}. "
            "Take another PRM_HOME, or begin anew with `prm clean`."
        )
    if asked == "process":
        return Choice("process", "PRM_BACKEND=process")
    stands = obstacle(PULL_WITHIN.get(asked or "", 0))
    if not stands:
        return Choice("docker", "the Docker engine answers and has the images")
    if asked == "docker":
        raise OpsError(f"PRM_BACKEND=docker, but {stands}. docs/containers.md says what it takes.")
    return Choice("process", stands)
