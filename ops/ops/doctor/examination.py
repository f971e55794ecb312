"""The whole examination: from the ground up, so that a cause stands before what follows from it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ops.doctor import backends, services
from ops.doctor.findings import Area
from ops.platform import Platform


def examined(platform: Platform) -> Iterator[Area]:
    """Changes nothing."""
    with ThreadPoolExecutor() as pool:
        yield backends.disk(platform.home)
        yield from pool.map(lambda ask: ask(platform), (backends.postgres, backends.kafka))
        yield from pool.map(partial(services.service, platform), platform.services)
        yield services.clocks(platform)
