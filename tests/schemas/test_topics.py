import pytest

from schemas import topics
from schemas.reports import TOPIC, RowKind

DAYS = {
    "media.events.v1": 7,
    "media.rejects.v1": 30,
    "media.reports.session-start.v1": 30,
    "media.reports.ad-start.v1": 30,
    "media.reports.ad-close.v1": 30,
    "media.reports.chapter-close.v1": 30,
    "media.reports.session-close.v1": 30,
    "media.reports.heartbeat.v1": 1,
    "media.reports.audience.v1": 30,
    "media.state.closed.v1": 2,
    "media.minutes.v1": 1,
}


def test_there_are_thirteen_topics_under_their_public_names() -> None:
    assert sorted(topics.BY_NAME) == sorted([*DAYS, "media.state.session.v1", "media.roundware.v1"])
    assert len(topics.ALL) == 13


@pytest.mark.parametrize(("name", "days"), DAYS.items())
def test_a_topic_is_kept_for_its_days(name: str, days: int) -> None:
    assert topics.BY_NAME[name].retention_ms == days * 24 * 60 * 60 * 1000


def test_only_states_are_compacted_and_only_events_are_stamped_by_the_log() -> None:
    assert [topic.name for topic in topics.ALL if topic.compacted] == [
        "media.state.session.v1",
        "media.state.closed.v1",
        "media.roundware.v1",
    ]
    assert [topic.name for topic in topics.ALL if topic.log_append_time] == ["media.events.v1"]


def test_session_state_is_kept_for_ever_in_small_segments_that_are_soon_cleaned() -> None:
    state = topics.STATE
    assert state.retention_ms is None
    assert (state.segment_bytes, state.segment_ms) == (16 * 1024 * 1024, 10 * 60 * 1000)
    assert (state.dirty_ratio, state.tombstone_ms) == (0.2, 10 * 60 * 1000)
    assert topics.CLOSED.segment_ms == 60 * 60 * 1000


def test_what_lists_are_answered_from_is_kept_until_it_is_buried() -> None:
    assert topics.ROUNDWARE.retention_ms is None
    assert topics.ROUNDWARE.tombstone_ms == 24 * 60 * 60 * 1000  # a door may be away so long and still learn of it


def test_twelve_partitions_are_the_default() -> None:
    assert topics.DEFAULT_PARTITIONS == 12


@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
def test_a_topic_is_found_by_its_full_name(topic: topics.Topic) -> None:
    assert topics.find(topic.name) is topic


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("events", "media.events.v1"),
        ("rejects", "media.rejects.v1"),
        ("session-close", "media.reports.session-close.v1"),
        ("heartbeat", "media.reports.heartbeat.v1"),
        ("audience", "media.reports.audience.v1"),
        ("closed", "media.state.closed.v1"),
    ],
)
def test_a_public_topic_is_found_by_its_short_name(short: str, name: str) -> None:
    assert topics.find(short).name == name


def test_an_unknown_topic_is_told_what_is_known() -> None:
    with pytest.raises(KeyError, match="session-close"):
        topics.find("sessions")


@pytest.mark.parametrize(
    ("key", "crc"),
    [
        ("", 0),
        ("23456", 0xB1B451D7),
        ("this is another string with more length to it perhaps", 0xB0150DF7),
        ("hejsan", 0xD077037E),
        ("123456789", 0xCBF43926),
    ],
)
def test_a_key_lies_where_librdkafkas_consistent_partitioner_puts_it(key: str, crc: int) -> None:
    """The first four are the values of librdkafka's own test, the last is the check value of CRC-32."""
    for partitions in (1, 7, 12, 17):
        assert topics.partition_of(key, partitions) == crc % partitions


def test_ids_are_spread_over_all_partitions() -> None:
    counts = [0] * 12
    for number in range(12_000):
        counts[topics.partition_of(f"{number:064x}", 12)] += 1
    assert min(counts) > 800


def test_each_kind_of_row_has_a_topic_of_its_own() -> None:
    assert {kind: TOPIC[kind].name for kind in RowKind} == {kind: f"media.reports.{kind}.v1" for kind in RowKind}
