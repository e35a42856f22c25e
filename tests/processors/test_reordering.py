"""The checks of a reducer on streams drawn at random: permuted, doubled, cut short, restarted."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.session.rules import Rules
from tests.processors.partition import IOS, MINUTE, START_PARAMS, T0, Partition, document, reports, sid_of

A = sid_of(1)
AD = {"media.ad.id": "ad", "media.ad.name": "ad", "media.ad.length": 15, "media.ad.podPosition": 1}
POD = {"media.ad.podIndex": 1, "media.ad.podSecond": 0}
CHAPTER = {"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 60}
PARAMS = {
    "adBreakStart": POD,
    "adStart": AD,
    "chapterStart": CHAPTER,
    "stateStart": {"media.state.name": "mute"},
    "stateEnd": {"media.state.name": "mute"},
}
TYPES = (
    "play",
    "pauseStart",
    "bufferStart",
    "ping",
    "ping",
    "adBreakStart",
    "adStart",
    "adComplete",
    "adSkip",
    "adBreakComplete",
    "chapterStart",
    "chapterComplete",
    "chapterSkip",
    "stateStart",
    "stateEnd",
    "error",
    "bitrateChange",
    "sessionComplete",
)


class Post(NamedTuple):
    """An event as posted: `at` is when the door receives it, both times in ms after T0."""

    event_type: str
    playhead: float
    ts: int
    at: int

    def body(self) -> bytes:
        params = {"params": PARAMS[self.event_type]} if self.event_type in PARAMS else {}
        return orjson.dumps(document(self.event_type, self.playhead, T0 + self.ts, **params))


@st.composite
def streams(draw: st.DrawFn, types: Sequence[str] = TYPES, least_gap: int = 1) -> list[Post]:
    """Events of one session in the player's order, each with a `ts` of its own, posted as they happen."""
    posts, ts, playhead = [], 0, 0.0
    for event_type in draw(st.lists(st.sampled_from(types), max_size=20)):
        gap = draw(st.sampled_from([1, 300, 2_000, 4_000, 10_000]))
        ts += max(least_gap, gap)
        playhead += gap / 1000 if draw(st.booleans()) else 0
        posts.append(Post(event_type, playhead, ts, ts))
    if draw(st.booleans()):
        posts.append(Post("sessionEnd", playhead, ts + 5, ts + 5))
    return posts


def told(posts: Sequence[Post], *, restart_at: frozenset[int] = frozenset(), commits: bool = False) -> Partition:
    """A partition that was told a session, and then nothing more until its stub is gone."""
    partition = Partition(rules=Rules(heartbeat_interval_ms=0))
    partition.start(A)
    partition.post(sid_of(2), "sessionStart", 0, 0, params=START_PARAMS | IOS)
    for index, post in enumerate(posts):
        partition.put(A, post.body(), T0 + post.at)
        if commits or index in restart_at:
            partition.fold()
        if index in restart_at:
            partition.restart()
    partition.fold()
    for minute in (1, 12, 30):
        partition.pass_time(max((post.at for post in posts), default=0) + minute * MINUTE)
    return partition


def rows(partition: Partition) -> list[dict[str, Any]]:
    return sorted(reports(partition.all_rows()), key=lambda row: str(row["_id"]))


@given(streams(), st.randoms(use_true_random=False))
def test_events_permuted_within_the_window_make_the_same_rows(posts: list[Post], chance: Any) -> None:
    """Each group of at most ten events within four seconds arrives in any order at its end."""
    permuted: list[Post] = []
    while len(permuted) < len(posts):
        group = [post for post in posts[len(permuted) :][:10] if post.ts - posts[len(permuted)].ts <= 4_000]
        at = group[-1].at
        chance.shuffle(group)
        permuted += [post._replace(at=at) for post in group]
    assert rows(told(permuted)) == rows(told([post._replace(at=post.at) for post in posts]))


@given(streams(), st.data())
def test_any_event_doubled_makes_the_same_rows(posts: list[Post], data: st.DataObject) -> None:
    doubled: list[Post] = []
    for index, post in enumerate(posts):
        doubled.append(post)
        formers = data.draw(st.lists(st.sampled_from(posts[max(0, index - 14) : index + 1]), max_size=2))
        doubled += [former._replace(at=post.at) for former in formers]
    partition = told(doubled)
    assert rows(partition) == rows(told(posts))
    assert partition.counts.duplicates == len(doubled) - len(posts)


@given(streams(), st.frozensets(st.integers(0, 20)))
@settings(max_examples=150)
def test_a_lane_restarted_at_any_point_makes_the_same_rows(posts: list[Post], restart_at: frozenset[int]) -> None:
    assert rows(told(posts, restart_at=restart_at)) == rows(told(posts))


@given(streams())
def test_commits_do_not_change_rows(posts: list[Post]) -> None:
    assert rows(told(posts, commits=True)) == rows(told(posts))


@given(streams(types=("play", "pauseStart", "bufferStart", "ping", "adBreakStart", "adStart", "adComplete")), st.data())
def test_pings_dropped_where_the_playhead_moves_leave_the_totals(posts: list[Post], data: st.DataObject) -> None:
    moving = [
        index
        for index, post in enumerate(posts[:-1])
        if post.event_type == "ping" and index and posts[index - 1].playhead < post.playhead < posts[index + 1].playhead
    ]
    dropped = data.draw(st.sets(st.sampled_from(moving))) if moving else set()
    fewer = [post for index, post in enumerate(posts) if index not in dropped]
    assert totals(told(fewer)) == totals(told(posts))


BUCKETS = {"contentMs", "mediaMs", "adMs", "pauseMs", "bufferMs", "stallMs", "startingMs", "breakGapMs"}


def totals(partition: Partition) -> list[Any]:
    return [
        (row["mediabeat"]["kind"], {k: v for k, v in row["mediabeat"].get("extras", {}).items() if k in BUCKETS})
        for row in rows(partition)
        if row["mediabeat"]["kind"] in {"session-close", "ad-close", "chapter-close"}
    ]


@given(streams(), st.frozensets(st.integers(0, 20)))
def test_every_row_has_an_id_of_its_own(posts: list[Post], restart_at: frozenset[int]) -> None:
    partition = told(posts, restart_at=restart_at)
    contents: dict[str, str] = {}
    for row in partition.all_rows():
        assert contents.setdefault(row["_id"], repr(row)) == repr(row)
        own = row["mediabeat"]
        assert row["_id"] == f"{own['sessionId']}:{own['kind']}:{own['instance']}:{own['revision']}"
    assert len(contents) == len(partition.all_rows())


@given(streams(), st.lists(st.tuples(st.integers(0, 25), st.binary(max_size=20)), max_size=3))
def test_what_is_received_is_folded_or_doubled_or_rejected(posts: list[Post], noise: list[tuple[int, bytes]]) -> None:
    partition = Partition()
    partition.start(A)
    for index, post in enumerate([*posts, *posts]):
        for place, junk in noise:
            if place == index:
                partition.put(A, junk, T0 + post.at)
        partition.put(A, post.body(), T0 + post.at)
    partition.fold()
    partition.pass_time(60 * MINUTE)
    counts = partition.counts
    assert counts.consumed == len(partition.log)
    assert counts.consumed == counts.folded + counts.duplicates + sum(counts.rejected.values())
    assert counts.waiting == {3: 0}
