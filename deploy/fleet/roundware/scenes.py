"""What listeners do: each scene is a habit seen in a real client (all its traps included), drawn from the seed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deploy.fleet.roundware.listeners import Listener

NEVER_SILENT = 0.0


def perform(listener: Listener, past_idle: float) -> str:
    """Let the listener live a session; what kind it was, in words.

    `past_idle`: a silence that ends a visit, in seconds; 0 where nobody could sit that out.
    """
    rng = listener.rng
    ending = rng.random()
    if ending < 0.06:
        listener.open(stoptime=_stoptime(listener))
        return _after(listener, "stop time told", past_idle)
    listener.open()
    if ending < 0.14:
        return _after(listener, "nothing happens", past_idle)
    if "web" in listener.make.name:
        listener.tell("start_session")
    for _ in range(rng.randrange(1, 6)):
        _breathe(listener)
        rng.choice(_MIXING if listener.make.mixes else _STREAMING)(listener)
    if ending < 0.30:
        listener.rest(rng.uniform(0.0, 0.4))
        listener.tell(rng.choice(("stop_session", "cleanup_session")))
        return _after(listener, "ended", past_idle)
    return _after(listener, "left", past_idle)


def _after(listener: Listener, kind: str, past_idle: float) -> str:
    """A number stays usable for ever: an offline app goes on with it, a late answer comes after the end."""
    rng = listener.rng
    if kind == "ended" and rng.random() < 0.4:
        _speak(listener)
        return f"{kind}, spoke on"
    visits = 1
    while past_idle and visits < 4 and rng.random() < (0.3 if visits == 1 else 0.5):
        listener.rest(past_idle)
        visits += 1
        late = listener.known()
        if late and rng.random() < 0.4:
            listener.heard(rng.choice(late), round(rng.uniform(0.1, 9.0), 3))
        for _ in range(rng.randrange(1, 3)):
            rng.choice(_MIXING if listener.make.mixes else _STREAMING)(listener)
            _breathe(listener)
        if rng.random() < 0.2:
            listener.tell("stop_session")
    return f"{kind}, {visits} visits" if visits > 1 else kind


def _stoptime(listener: Listener) -> str:
    """Nobody sends one; the field exists: before the beginning, soon, or far away."""
    seconds = listener.rng.choice((-3600, 0.4, 1.5, 100_000))
    at = datetime.fromtimestamp(listener.began_at / 1000, tz=UTC) + timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _breathe(listener: Listener) -> None:
    if listener.rng.random() < 0.7:
        listener.rest(round(listener.rng.uniform(0.01, 0.5), 3))


def _listen(listener: Listener) -> None:
    listener.tell(listener.make.play, **(listener.place() if listener.rng.random() < 0.4 else {}))
    if listener.rng.random() < 0.2:
        listener.tell(listener.make.play)  # again, inside an open interval
    listener.rest(round(listener.rng.uniform(0.1, 0.8), 3))
    if listener.rng.random() < 0.8:
        listener.tell(listener.make.stop)


def _stop_without_start(listener: Listener) -> None:
    listener.tell(listener.make.stop)


def _walk(listener: Listener) -> None:
    for _ in range(listener.rng.randrange(1, 4)):
        listener.tell(listener.rng.choice(("location_update", "move_listener")), **listener.place())
        _breathe(listener)


def _stray(listener: Listener) -> None:
    """Places that are none, or half of one: recorded as no place, never refused."""
    places = (("north", "2.5"), ("91.5", "10"), ("10", "-180.5"), ("", ""), ("42.1", ""), (12, None), ("nan", "1"))
    latitude, longitude = listener.rng.choice(places)
    listener.tell("location_update", latitude=latitude, longitude=longitude)


def _filter(listener: Listener) -> None:
    name = "tags" if listener.rng.random() < 0.2 else "tag_ids"
    listener.tell(listener.rng.choice(("filter_stream", "modify_stream")), **{name: listener.tags()})


_WORDS = (
    "skip_ahead", "play_asset_in_stream", "change_listen_mode", "start_record", "stop_record", "end_record",
    "start_upload", "stop_upload", "upload_asset", "upload_recording", "upload_failed", "vote_asset", "share_map",
    "client_error", "heartbeat", "start_session", "a word of our own", "Play_Stream", "w" * 50,
)  # fmt: skip


def _speak(listener: Listener) -> None:
    word = listener.rng.choice(_WORDS)
    copies = 2 if listener.rng.random() < 0.1 else 1
    listener.tell(word, data=listener.rng.choice(("", "asset_id: 7", "listen_mode: map", "Ä ö 1")), copies=copies)


def _beat(listener: Listener) -> None:
    if not listener.make.beats:
        _speak(listener)
        return
    for _ in range(listener.rng.randrange(1, 4)):
        listener.beat()
        listener.rest(0.2)


def _steer(listener: Listener) -> None:
    """What clients said to the audio stream while there was one; its end is the visit's."""
    if not listener.make.beats:
        _walk(listener)
        return
    what = listener.rng.choice(("", "", "pause", "resume", "resume", "kill"))
    told = {"latitude": 42.25, "longitude": -71.5} if listener.rng.random() < 0.5 else {"tag_ids": listener.tags()}
    listener.steer(what, **({} if what else told))


def _sound(listener: Listener) -> None:
    """One asset from its start to its end; the end may be told twice, with growing times."""
    rng = listener.rng
    sound = listener.hear(rng.randrange(1, 6))
    seconds = round(rng.uniform(0.1, 0.7), 3)
    listener.rest(seconds)
    listener.heard(sound, seconds)
    if rng.random() < 0.3:
        listener.rest(0.2)
        listener.heard(sound, round(seconds + 0.2, 3))
    if rng.random() < 0.1:
        listener.forget(sound)


def _overlapping(listener: Listener) -> None:
    """Several tracks at once."""
    rng = listener.rng
    sounds = []
    for asset in rng.sample(range(1, 6), rng.randrange(2, 4)):
        sounds.append((listener.hear(asset), listener.passed_ms))
        listener.rest(round(rng.uniform(0.05, 0.3), 3))
    listener.rest(round(rng.uniform(0.1, 0.4), 3))
    rng.shuffle(sounds)
    for sound, since in sounds:
        listener.heard(sound, (listener.passed_ms - since) / 1000)
        _breathe(listener)


def _never_closed(listener: Listener) -> None:
    listener.hear(listener.rng.randrange(1, 6))


def _stalled(listener: Listener) -> None:
    """`playing` fires again after a stall: two rows of one play, the earlier never closed."""
    rng = listener.rng
    asset = rng.randrange(1, 6)
    listener.hear(asset)
    listener.rest(round(rng.uniform(0.1, 0.4), 3))
    sound = listener.hear(asset)
    listener.rest(0.2)
    listener.heard(sound, 0.2)


def _known_length(listener: Listener) -> None:
    """A duration told with the start: more than was heard, less, or nanoseconds."""
    rng = listener.rng
    listener.hear(
        rng.randrange(1, 6),
        **rng.choice(({"duration_in_seconds": 1.001}, {"duration_in_seconds": "0.25"}, {"duration": 67_000_000})),
    )
    listener.rest(round(rng.uniform(0.1, 0.6), 3))
    _speak(listener)


def _mixed_listen(listener: Listener) -> None:
    """As the mixing web client plays: the sounds of a stretch, and one that its pause leaves open."""
    listener.tell(listener.make.play)
    _sound(listener)
    listener.hear(listener.rng.randrange(1, 6))
    listener.rest(round(listener.rng.uniform(0.1, 0.3), 3))
    listener.tell(listener.make.stop)


Scene = Callable[[Listener], None]
_STREAMING: tuple[Scene, ...] = (
    _listen, _listen, _walk, _stray, _filter, _speak, _beat, _beat, _steer, _stop_without_start,
)  # fmt: skip
_MIXING: tuple[Scene, ...] = (
    _sound, _sound, _overlapping, _never_closed, _stalled, _known_length, _mixed_listen, _mixed_listen, _listen, _walk,
    _stray, _filter, _speak,
)  # fmt: skip
