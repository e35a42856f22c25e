"""What tests of more than one room share."""

import signal

from hypothesis import HealthCheck, settings

from tests.kafka_broker import kafka_broker

__all__ = ["kafka_broker"]

# A shell that starts a test run in the background makes it ignore Ctrl-C, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine under the tests is slow at times: nothing is judged by how long it takes. Hypothesis looks for other examples
# in every run, but for the same ones where CI is set: there it is a change that is judged.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
