"""What each simulated session does, drawn from a seed: the same seed gives the same scripts, byte for byte."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.fleet.players import Document, Make, Player

PARALLEL_AT_ONCE = 3
"""Events the JavaScript and Chromecast clients post at the same time."""

_RESTS_UP_TO_SECONDS = 20.0
"""A script sits out a timeout only where the settings make that short."""

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
    kind = _perform(player, waits, offline=offline)
    bodies = [_encode(document, make) for document in player.said]
    if offline:
        return _offline(index, kind, bodies, rng, player.said[0])
    starts = 2 if rng.random() < 0.03 else 1
    groups = tuple(_delivery(bodies[1:], kind, make, rng, waits))
    return Script(index, kind, "/api/v1/sessions", bodies[0], starts, make.is_serial, groups)


def _offline(index: int, kind: str, bodies: list[bytes], rng: random.Random, start: Document) -> Script:
    flagged = start["params"].get("media.downloaded") is True
    path = "/api/v1/sessions" if flagged else "/api/v1/downloaded"
    array = b"[" + b",".join(bodies) + b"]"
    return Script(index, f"offline {kind}", path, array, 2 if rng.random() < 0.4 else 1, True, ())


def _perform(player: Player, waits: Waits, *, offline: bool) -> str:
    """Let the player live a session; what kind it was, in words."""
    rng = player.rng
    live = not offline and rng.random() < 0.12
    length = 86_400 if live else rng.choice((60, 90.5, 300, 1200, 2700))
    player.playhead = rng.randrange(30_000, 80_000) * 1000 if live else 0
    _start(player, length, live=live, offline=offline)
    if not offline and rng.random() < 0.05:
        return "no events"
    if rng.random() < 0.35:
        player.ad_break(rng.randrange(1, 4), is_closed=rng.random() < 0.95)
        if rng.random() < 0.08:
            return _leave(player, "pre-roll drop", offline=offline)
    elif rng.random() < 0.3:
        player.say("bufferStart")
        player.wait(rng.randrange(200, 8000))
    player.play()
    for _ in range(rng.randrange(1, 9)):
        rng.choice(_SCENES)(player)
    if not offline and rng.random() < 0.04:
        _stand_still(player, waits)
        return "still"
    if rng.random() < 0.2:
        player.ad_break(rng.randrange(1, 3))
    return _leave(player, "watched", offline=offline)


def _start(player: Player, length: float, *, live: bool, offline: bool) -> None:
    rng = player.rng
    params: Document = {
        "analytics.trackingServer": "metrics.example.com",
        "analytics.reportSuite": "fleet",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
        "media.id": f"content {rng.randrange(200)}",
        "media.length": length,
        "media.contentType": "live" if live else rng.choice(("vod", "VOD", "podcast", "song")),
        "media.libraryVersion": player.make.library,
        "media.playerName": "fleet player",
        "media.channel": "fleet",
    }
    optional: Document = {
        "media.name": "A/B film ÄÖ",
        "media.streamType": rng.choice(("video", "audio")),
        "media.resume": rng.random() < 0.5,
        "media.sdkVersion": "1.2.3",
        "media.show": "show",
        "media.season": "2",
        "media.genre": "drama, news",
        "media.pass.auth": "true",
        "media.showType": "0",
        "analytics.visitorId": f"v{rng.randrange(10_000)}",
        "visitor.marketingCloudUserId": f"{rng.randrange(10**12)}",
        "visitor.customerIDs": {"crm": {"id": f"{rng.randrange(99)}", "authState": 1}},
    }
    params |= {key: value for key, value in optional.items() if rng.random() < 0.5}
    for key in ("media.playerName", "media.channel"):
        if player.make.library.startswith("ios") and rng.random() < 0.2:
            del params[key]
    if not player.make.library:
        del params["media.libraryVersion"]
    if offline and rng.random() < 0.7:
        params["media.downloaded"] = True
    meta = {"season": "S2", "tag.x": "Tiếng Việt"} if rng.random() < 0.4 else None
    player.say("sessionStart", params=params, qoe=player.quality() if rng.random() < 0.3 else None, meta=meta)
    player.ts += rng.choice((0, 0, 40, 1200))


def _watch(player: Player) -> None:
    player.watch(player.rng.randrange(3000, 90_000))


def _pause(player: Player) -> None:
    player.watch(player.rng.randrange(2000, 20_000))
    player.pause(player.rng.randrange(500, 60_000))


def _buffer(player: Player) -> None:
    player.watch(player.rng.randrange(2000, 20_000))
    player.buffer(player.rng.randrange(200, 9000))


def _seek(player: Player) -> None:
    player.watch(player.rng.randrange(4000, 25_000))
    to = max(0, player.playhead + player.rng.choice((-30_000, -8000, 15_000, 40_000, 120_000)))
    player.rng.choice((player.seek_as_pause, player.seek_untold))(to)


def _stall(player: Player) -> None:
    player.watch(player.rng.randrange(2000, 15_000))
    player.stall(player.rng.randrange(1000, 45_000))


def _mid_roll(player: Player) -> None:
    player.watch(player.rng.randrange(3000, 30_000))
    player.ad_break(player.rng.randrange(1, 3), is_closed=player.rng.random() < 0.97)


def _paused_into_an_ad(player: Player) -> None:
    """The SDKs tell the true state again after adStart: the same pauseStart, byte for byte, and both are meant."""
    player.watch(player.rng.randrange(2000, 15_000))
    player.paused_break(player.rng.randrange(500, 8000))


def _quality(player: Player) -> None:
    player.watch(player.rng.randrange(1000, 15_000))
    player.say("bitrateChange", qoe=player.quality() if player.rng.random() < 0.9 else None)


def _error(player: Player) -> None:
    player.watch(player.rng.randrange(1000, 15_000))
    player.fail(f"E{player.rng.randrange(5)}", player.rng.choice(("player", "external")))


def _states(player: Player) -> None:
    names = player.rng.sample(("fullscreen", "mute", "pictureInPicture", "inFocus", "custom.one"), 2)
    if player.rng.random() < 0.5:
        player.state(names[0], player.rng.randrange(1500, 30_000))
        return
    player.watch(1500)
    player.update_states([], names)
    player.watch(player.rng.randrange(1500, 20_000))
    player.update_states(names[:1] if player.rng.random() < 0.3 else names, [])


def _chapter(player: Player) -> None:
    player.watch(player.rng.randrange(1500, 8000))
    length = player.rng.randrange(5000, 60_000)
    player.open_chapter(length)
    player.watch(length // 2)
    player.rng.choice((_watch, _pause, _stall, _mid_roll, _quality))(player)
    ending = player.rng.random()
    if ending < 0.6:
        player.say("chapterComplete")
    elif ending < 0.8:
        player.say("chapterSkip")  # else the next chapter or the end closes it


def _stall_over_a_chapter_end(player: Player) -> None:
    """The chapter is reported, then the stall is found: its row is revised."""
    player.watch(player.rng.randrange(1500, 8000))
    player.open_chapter(30_000)
    player.watch(player.rng.randrange(5000, 20_000))
    player.say("ping")
    player.wait(player.rng.randrange(1500, 9000))
    player.say("chapterComplete")
    player.wait(player.rng.randrange(1500, 9000))
    player.say("ping")


_SCENES = (
    _watch,
    _watch,
    _watch,
    _pause,
    _buffer,
    _seek,
    _stall,
    _mid_roll,
    _paused_into_an_ad,
    _quality,
    _error,
    _states,
    _chapter,
    _chapter,
    _stall_over_a_chapter_end,
)


def _leave(player: Player, kind: str, *, offline: bool) -> str:
    rng = player.rng
    if kind == "watched":
        player.watch(rng.randrange(1500, 20_000))
    ending = rng.random()
    if ending < 0.2 and not offline:
        return f"{kind}, abandoned"
    if ending < 0.4:
        player.say("sessionEnd")
        return f"{kind}, ended"
    if kind != "watched":
        player.say("sessionEnd")
        return f"{kind}, ended"
    player.say("sessionComplete")
    if ending > 0.8:
        return _replay(player, offline=offline)
    if ending > 0.65:
        player.ts += 500
        player.say("sessionEnd")
    return f"{kind}, completed"


def _replay(player: Player, *, offline: bool) -> str:
    """It starts again after it was complete: the numbers change once more."""
    player.ts += player.rng.randrange(1000, 5000)
    player.playhead = 0
    player.play()
    player.watch(player.rng.randrange(1500, 30_000))
    ending = player.rng.choice(("sessionComplete", "sessionEnd", "" if not offline else "sessionEnd"))
    if ending:
        player.say(ending)
    return f"replayed, {ending or 'abandoned'}"


def _stand_still(player: Player, waits: Waits) -> None:
    """Paused until the playhead has not moved for too long, and pinging on.

    It plays a little before: whether a playhead that comes back from an ad has moved is nowhere said.
    """
    player.watch(1500)
    player.say("pauseStart")
    step = max(1000, round((waits.still + waits.grace) * 1000 / 20))
    for _ in range(24):
        player.ts += step
        player.say("ping")


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
