"""What tests of more than one room share."""

from tests.kafka_broker import kafka_broker

__all__ = ["kafka_broker"]
