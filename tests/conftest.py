"""What tests of more than one room share."""

import signal

from tests.kafka_broker import kafka_broker

__all__ = ["kafka_broker"]

# A shell that starts a test run in the background makes it ignore Ctrl-C, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
