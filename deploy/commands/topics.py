"""Make the topics on a Kafka cluster, or name each difference between them and what they should be.

`create` makes those that do not exist, with their settings, and leaves the others alone. `check` prints one line for
each difference and exits with status 1 when there is one. All topics have the same number of partitions (PARTITIONS,
12 unless set), fixed when the first is made: later ones get as many partitions and copies as the events have.
"""

import argparse
import sys
from typing import Final

from deploy import loop, settings
from deploy.failure import Failure
from deploy.settings import Settings
from schemas import topics

SETTINGS: Final = (*settings.KAFKA, "PARTITIONS")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("create", "check"))
    parser.add_argument("--replication", type=int, metavar="N", help="copies of each partition (create; 1)")


def execute(arguments: argparse.Namespace, settings_given: Settings) -> int | None:
    from deploy import topic_admin
    from deploy.kafka_settings import kafka_clients
    from schemas.records import LogUnavailable

    clients = kafka_clients(settings_given)
    try:
        if arguments.action == "check":
            return _say(loop.run(topic_admin.check(clients, settings_given.partitions)))
        made = loop.run(topic_admin.create(clients, settings_given.partitions, arguments.replication))
    except (LogUnavailable, topic_admin.TopicsUnfit) as failure:
        raise Failure(str(failure)) from failure
    for name in made.names:
        print(f"made {name}: {made.partitions} partitions, {made.replication} of each")
    kept = len(topics.ALL) - len(made.names)
    if kept:
        print(f"{kept} existed already: `mediabeat topics check` compares them")
    return None


def _say(differences: list[str]) -> int:
    for difference in differences:
        print(difference)
    if not differences and sys.stdout.isatty():
        print("the topics are as they should be")
    return 1 if differences else 0
