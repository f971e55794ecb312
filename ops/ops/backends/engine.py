"""The Docker engine of this machine: whether it can give us containers, and what others left there.

testcontainers finds the engine (DOCKER_HOST, the CLI's context, the usual socket). Its reaper is a
container of its own whose image cannot be had without a registry: what is bound to a process says
so in a label instead, and is removed by whoever comes next.
"""

import json
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from typing import Any

from docker.errors import APIError, DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient, get_docker_host

from ops import processes
from ops.failures import OpsError

ANSWERS_WITHIN = 5  # seconds; an engine that hangs is none
SAYS_SOMETHING_WITHIN = 30  # seconds, while it works for us
OWNER = "prm.owner"  # label: the process that it may not outlive
USUAL = "unix:///var/run/docker.sock"
HERE = ("localhost", "127.0.0.1")

testcontainers_config.ryuk_disabled = True


def obstacle(images: Sequence[str], pull_within: float) -> str | None:
    """Why containers of these images cannot be had here; None if they can.

    Missing images are pulled within that many seconds, all together; 0 asks no registry.
    """
    try:
        client = DockerClient(timeout=ANSWERS_WITHIN) if _listens() else None
    except (DockerException, OSError):
        client = None
    if not client:
        return "no Docker engine answers"
    try:
        if client.host() not in HERE:
            return f"the Docker engine is on another machine ({client.host()})"
        missing = [image for image in images if not _has(client.client, image)]
        if missing and not pull_within:
            return f"the Docker engine lacks {' and '.join(missing)}"
        _pull(missing, time.monotonic() + pull_within)
    except (DockerException, OSError) as error:
        return f"the Docker engine gives no images: {error}"
    finally:
        client.client.close()
    return None


def _listens() -> bool:
    """Whether anybody is at its socket: asked first, for docker-py would leave one open."""
    kind, _, path = (get_docker_host() or USUAL).partition("://")
    if kind != "unix":
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWERS_WITHIN)
        return probe.connect_ex(path) == 0


def _has(client: Any, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def _pull(images: Sequence[str], until: float) -> None:
    """Raises DockerException or OSError if one does not come in time."""
    for image in images:
        for step in _client().client.api.pull(image, stream=True, decode=True):
            if "error" in step:
                raise DockerException(f"{image}: {step['error']}")
            if time.monotonic() > until:
                raise DockerException(f"{image} was not pulled in time")


@cache
def _client() -> DockerClient:
    return DockerClient(timeout=SAYS_SOMETHING_WITHIN)


def engine() -> Any:
    """docker-py's client. Raises OpsError if no engine answers."""
    try:
        return _client().client
    except (DockerException, OSError) as error:
        raise OpsError(
            f"No Docker engine answers ({error}). Start it: data lie in its volumes. "
            "PRM_BACKEND=process with another PRM_HOME does without."
        ) from error


def labels(*, bound: bool) -> dict[str, str]:
    if not bound:
        return {}
    me = processes.this()
    return {OWNER: json.dumps(asdict(me))}


def remove_leftovers() -> None:
    """Containers and volumes of processes that were killed before they could remove them."""
    mine = {"filters": {"label": OWNER}}
    for container in engine().containers.list(all=True, ignore_removed=True, **mine):
        if not _lives(container.labels[OWNER]):
            with suppress(APIError):  # another one removes it at this moment
                container.remove(force=True, v=True)
    for volume in engine().volumes.list(**mine):
        if not _lives(volume.attrs["Labels"][OWNER]):
            with suppress(APIError):
                volume.remove()


def _lives(owner: str) -> bool:
    return processes.Running(**json.loads(owner)).is_alive()
