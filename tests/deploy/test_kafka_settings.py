"""What the settings say of Kafka reaches its clients."""

import ssl
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy import settings
from deploy.failure import Failure
from deploy.kafka_client import KafkaClients
from deploy.kafka_settings import kafka_clients
from deploy.kafka_verdict import Outcome


def clients(**flags: str) -> KafkaClients:
    return kafka_clients(settings.load(flags, environ={}))


def test_without_a_bootstrap_there_is_no_cluster_to_speak_to() -> None:
    with pytest.raises(Failure, match="--bootstrap"):
        clients()


async def test_name_and_password_are_passed_through() -> None:
    made = clients(
        BOOTSTRAP="kafka:9092",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
        KAFKA_SASL_USERNAME="name",
        KAFKA_SASL_PASSWORD="word",
    )
    producer = AIOKafkaProducer(**made._shared(1_000, 10))
    assert producer.client.hosts[0][:2] == ("kafka", 9092)
    assert producer.client._security_protocol == "SASL_SSL"
    assert producer.client._sasl_mechanism == "SCRAM-SHA-512"
    assert (producer.client._sasl_plain_username, producer.client._sasl_plain_password) == ("name", "word")
    assert isinstance(producer.client._ssl_context, ssl.SSLContext)
    assert producer.client._ssl_context.verify_mode is ssl.CERT_REQUIRED
    await producer.stop()


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    garbage = tmp_path / "ca.pem"
    garbage.write_text("no certificate")
    with pytest.raises(Failure, match="MEDIABEAT_KAFKA_SSL_"):
        clients(BOOTSTRAP="k:1", KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CAFILE=str(garbage))


def test_transactions_are_classic_only_where_the_settings_say_so() -> None:
    assert clients(BOOTSTRAP="kafka:9092").two_steps
    assert not clients(BOOTSTRAP="kafka:9092", TRANSACTIONS="classic").two_steps


def test_how_undecided_transactions_end_is_for_the_settings_to_say() -> None:
    assert clients(BOOTSTRAP="kafka:9092").undecided is None
    assert clients(BOOTSTRAP="kafka:9092", UNDECIDED="commit").undecided is Outcome.COMMIT
    assert clients(BOOTSTRAP="kafka:9092", UNDECIDED="abort").undecided is Outcome.ABORT
