"""What each simulated session does, drawn from a seed: the same seed gives the same scripts, byte for byte."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.fleet.players import Document, Make, Player
from deploy.fleet.scenes import perform

PARALLEL_AT_ONCE = 3
"""Events the JavaScript and Chromecast clients post at the same time."""

_RESTS_UP_TO_SECONDS = 20.0
"""A script sits out a timeout only where the settings make that short."""

_LATE_BY = 14

_MAKES = (
    Make("ios-media-5.0.1", is_serial=True, is_redundant=True, ad_playhead_is_zero=False, tick_ms=0),
    Make("android-media-3.1.2", is_serial=True, is_redundant=True, ad_playhead_is_zero=False, tick_ms=0),
    Make("js-3.1.0", is_serial=False, is_redundant=True, ad_playhead_is_zero=False, tick_ms=0),
    Make("js-3.1.0", is_serial=False, is_redundant=True, ad_playhead_is_zero=False, tick_ms=0, rate=1.5),
    Make("", is_serial=False, is_redundant=False, ad_playhead_is_zero=True, tick_ms=1),
    Make("theo-7", is_serial=False, is_redundant=False, ad_playhead_is_zero=False, tick_ms=1),
)


@dataclass(frozen=True, slots=True)
class Post:
    """One event to post, `copies` times, after `rest_seconds` of real time."""

    body: bytes
    copies: int = 1
    rest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Script:
    """One simulated session. `groups`: posts that go out together; a group waits for the one before it.

    `starts`: how often the sessionStart is posted; only the last answer's id is used, the others stay orphans.
    An offline session has no groups: its `start` is the whole array, posted `starts` times to `path`.
    """

    index: int
    kind: str
    path: str
    start: bytes
    starts: int
    is_serial: bool
    groups: tuple[tuple[Post, ...], ...]


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the system under test waits, in seconds: decides which silences a script can afford."""

    idle: float = 600.0
    grace: float = 60.0
    window: float = 5.0
    still: float = 1800.0


def scripts(seed: int, sessions: int, began_at: int, waits: Waits) -> Iterator[Script]:
    """`sessions` scripts; `began_at` (epoch ms) is the only thing in them that is not drawn from the seed."""
    for index in range(sessions):
        yield script(seed, index, began_at, waits)


def script(seed: int, index: int, began_at: int, waits: Waits) -> Script:
    rng = random.Random(f"{seed}:{index}")
    offline = rng.random() < 0.08
    make = rng.choice(_MAKES[:2] if offline else _MAKES)
    if offline:
        make = Make(make.library, True, True, False, 0, ping_ms=50_000)
    player = Player(make, rng, began_at - rng.randrange(60_000, 3_600_000))
    kind = perform(player, waits.still + waits.grace, offline=offline)
    bodies = [_encode(document, make) for document in player.said]
    if offline:
        return _offline(index, kind, bodies, rng, player.said[0])
    starts = 2 if rng.random() < 0.03 else 1
    posts = _hold_one_back(bodies[1:], player.said[1:], rng) if rng.random() < 0.3 else bodies[1:]
    groups = tuple(_delivery(posts, kind, make, rng, waits))
    return Script(index, kind, "/api/v1/sessions", bodies[0], starts, make.is_serial, groups)


def _offline(index: int, kind: str, bodies: list[bytes], rng: random.Random, start: Document) -> Script:
    flagged = start["params"].get("media.downloaded") is True
    path = "/api/v1/sessions" if flagged else "/api/v1/downloaded"
    array = b"[" + b",".join(bodies) + b"]"
    return Script(index, f"offline {kind}", path, array, 2 if rng.random() < 0.4 else 1, True, ())


def _hold_one_back(bodies: list[bytes], said: list[Document], rng: random.Random) -> list[bytes]:
    """One event comes a dozen events late, after the reorder window has closed over its place.

    Only kinds that say nothing about the playhead's way or the play state are held back, and only where the playhead
    stands at both places: what a late playhead means is nowhere said.
    """
    fits = [
        at
        for at, document in enumerate(said[:-_LATE_BY])
        if document["eventType"] in ("error", "bitrateChange", "ping")
        and document["playerTime"]["playhead"] == said[at + _LATE_BY]["playerTime"]["playhead"]
        and bodies.count(bodies[at]) == 1
    ]
    if not fits:
        return bodies
    at = rng.choice(fits)
    return [*bodies[:at], *bodies[at + 1 : at + 1 + _LATE_BY], bodies[at], *bodies[at + 1 + _LATE_BY :]]


def _delivery(
    bodies: list[bytes], kind: str, make: Make, rng: random.Random, waits: Waits
) -> Iterator[tuple[Post, ...]]:
    at_once = 1 if make.is_serial else PARALLEL_AT_ONCE
    past_window = waits.window * 1.2 + 0.2
    past_idle = (waits.idle + waits.grace) * 1.3 + 1.0
    silent_at = (
        rng.randrange(len(bodies)) if bodies and past_idle < _RESTS_UP_TO_SECONDS and rng.random() < 0.04 else -1
    )
    abandoned = "abandoned" in kind
    for first in range(0, len(bodies), at_once):
        rest = past_idle if first <= silent_at < first + at_once else 0.0
        if past_window < _RESTS_UP_TO_SECONDS / 3 and rng.random() < 0.01:
            rest = max(rest, past_window)
        group = []
        for at, body in enumerate(bodies[first : first + at_once], first):
            # The last event of a session left alone decides when it ends: it is sent once.
            is_last = abandoned and at >= len(bodies) - at_once
            copies = 2 if rng.random() < 0.04 and not is_last else 1
            group.append(Post(body, copies, rest if at == first else 0.0))
        rng.shuffle(group)
        yield tuple(group)
    if kind.endswith("ended") and rng.random() < 0.1:
        time = orjson.loads(bodies[-1])["playerTime"]
        late = {"eventType": "ping", "playerTime": {"playhead": time["playhead"], "ts": time["ts"] + 1000}}
        yield (Post(orjson.dumps(late)),)


def _encode(document: Document, make: Make) -> bytes:
    """As that client writes JSON: bytes are what duplicates are judged by."""
    if make.library.startswith("ios"):
        return orjson.dumps(document).replace(b"/", b"\\/")
    if make.library.startswith("android"):
        return json.dumps(document).encode()
    return orjson.dumps(document)


def counts(all_scripts: list[Script]) -> dict[str, Any]:
    """How many scripts of each kind, for the report."""
    kinds: dict[str, int] = {}
    for one in all_scripts:
        kinds[one.kind] = kinds.get(one.kind, 0) + 1
    return dict(sorted(kinds.items()))
