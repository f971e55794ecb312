"""The administrator's step before services start: topics, databases, roles, migrations."""

from base64 import b64decode
from collections.abc import Sequence

import psycopg
from aiokafka.errors import KafkaError

from chassis.publishing.topics import TopicDiffers
from chassis.running import admin
from chassis.storage.migrate import MigrationChanged
from ops.apart import apart
from ops.failures import OpsError
from ops.registry import ISSUER, Service
from ops.state import Addresses, State
from prm_contracts.catalogue import topics_of

KEY_DATABASE = "prm_keys"


def prepare(state: State, services: Sequence[Service]) -> dict[str, Addresses]:
    """Repeatable: makes what is missing, and answers with where each service's own data are."""
    try:
        addresses = apart(
            admin.prepare(
                postgres_admin_dsn=str(state.postgres),
                kafka_bootstrap=str(state.kafka),
                services=[_deployed(service) for service in services],
                key_database=KEY_DATABASE,
                roles_key=b64decode(state.secrets.roles_key),
            )
        )
    except MigrationChanged as error:
        raise OpsError(
            f"The migration {error} was edited after it had run here: write a new one, or begin "
            "anew with `prm clean`."
        ) from error
    except (TopicDiffers, psycopg.Error, KafkaError) as error:
        raise OpsError(f"Topics and databases cannot be prepared: {error}") from error
    return {
        name: Addresses(it.database_dsn, it.keys_dsn, it.questions_dsn)
        for name, it in addresses.items()
    }


def database_of(service: Service) -> str:
    return f"prm_{service.package}"


def _deployed(service: Service) -> admin.Deployed:
    return admin.Deployed(
        name=service.name,
        package=service.package,
        database=database_of(service),
        topics=topics_of(service.name),
        erases=service is ISSUER,  # it keeps the people whom erasures are about
    )
