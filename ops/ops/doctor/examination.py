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
        yield from (postgres := backends.postgres(platform), backends.kafka(platform))
        has_database = not any(it.severity == "broken" for it in postgres.findings)
        examine = partial(services.service, platform, has_database=has_database)
        yield from pool.map(examine, platform.services)
        if has_database:
            yield services.clocks(platform)
