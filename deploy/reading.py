"""Which reader, and which place of a replay, belongs to the log that the settings name. Quick to import."""

from deploy.embedded_directory import EmbeddedLogRefused
from deploy.failure import Failure
from deploy.readers import TopicReader, embedded_reader
from deploy.replay import Positions
from deploy.replay_file import FilePositions
from deploy.settings import Settings
from schemas.records import LogUnavailable


async def open_reader(settings: Settings) -> TopicReader:
    """Reads the topics of the log that the settings name: Kafka with BOOTSTRAP, else the embedded log of DATA."""
    if settings.bootstrap is not None:
        from deploy.kafka_reader import kafka_reader
        from deploy.kafka_settings import kafka_clients

        try:
            return await kafka_reader(kafka_clients(settings))
        except LogUnavailable as away:
            raise Failure(str(away)) from away
    try:
        return embedded_reader(settings.data)
    except EmbeddedLogRefused as refused:
        raise Failure(str(refused)) from refused


def open_replay_positions(settings: Settings) -> Positions:
    """Where a replay keeps its place on that log."""
    if settings.bootstrap is not None:
        from deploy.kafka_replay import KafkaPositions
        from deploy.kafka_settings import kafka_clients

        return KafkaPositions(kafka_clients(settings), settings.group)
    return FilePositions(settings.data, settings.group)
