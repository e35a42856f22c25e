"""A real Kafka broker for developers, CI and users without containers: jars, Java, start, stop."""

from deploy.broker.cluster import BrokerFailed, Cluster

__all__ = ["BrokerFailed", "Cluster"]
