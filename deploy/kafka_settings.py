"""From settings to the cluster they name."""

import ssl

from aiokafka.helpers import create_ssl_context

from deploy.failure import Failure
from deploy.kafka_client import KafkaClients, Security
from deploy.kafka_verdict import Outcome
from deploy.settings import Settings


def kafka_clients(settings: Settings) -> KafkaClients:
    """The clients of BOOTSTRAP's cluster, spoken to as KAFKA_* says."""
    if settings.bootstrap is None:
        raise Failure("which Kafka? Set --bootstrap HOST:PORT")
    security = Security(
        protocol=settings.kafka_security_protocol,
        ssl=_ssl_context(settings) if "SSL" in settings.kafka_security_protocol.split("_") else None,
        sasl_mechanism=settings.kafka_sasl_mechanism or "PLAIN",
        sasl_username=settings.kafka_sasl_username,
        sasl_password=settings.kafka_sasl_password,
    )
    return KafkaClients(
        settings.bootstrap,
        security,
        two_steps=settings.transactions == "auto",
        undecided=None if settings.undecided == "refuse" else Outcome(settings.undecided),
    )


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    files = (settings.kafka_ssl_cafile, settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
    cafile, certfile, keyfile = (None if path is None else str(path) for path in files)
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=cafile, certfile=certfile, keyfile=keyfile, password=settings.kafka_ssl_password
        )
    except (OSError, ssl.SSLError) as error:
        raise Failure(f"cannot use the files of MEDIABEAT_KAFKA_SSL_* ({error}): all must be PEM") from error
    return context
