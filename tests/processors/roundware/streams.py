"""Whatever clients of a few sessions may post, in whatever order, from doors whose clocks differ a little."""

from typing import Any

from hypothesis import strategies as st

from tests.processors.roundware.listening import N, Rounds

WORDS = (
    *("play_stream", "pause_stream", "play_stream", "pause_stream", "stop_session", "heartbeat", "location_update"),
    *("filter_stream", "anything"),
)
CLOCKS = (None, "2026-01-01T00:00:0{}Z", "2026-01-01T00:00:0{}", "2026-01-01 00:00:0{}.+0000", "noon")
DURATIONS = (None, "0", "0.4996", "7", "61.25", "4000")

Step = tuple[Any, ...]

steps = st.lists(
    st.tuples(
        st.sampled_from(("tell", "tell", "tell", "hear", "heard", "heard", "forget", "open")),
        st.integers(0, 2),  # of which session
        st.sampled_from((-0.2, 0, 0.001, 0.3, 2, 5.001, 30, 300, 1800, 1800.001, 2000)),  # seconds later
        st.integers(0, 8),  # a word, an asset, a listen event made before
        st.integers(0, len(CLOCKS) * 10 - 1),
    ),
    max_size=40,
)


def post(rounds: Rounds, stream: list[Step]) -> None:
    """Every session begins with its record, but the last, which was begun by a former release of the world."""
    at, listens = 1.0, [1]
    rounds.open(number=N, stoptime="2026-01-01T01:00:00")
    rounds.open(number=N + 1)
    for kind, which, later, what, more in stream:
        at += later
        number = N + which
        if kind == "open":
            rounds.open(at, number=number)
        elif kind == "tell":
            clock = CLOCKS[more % len(CLOCKS)]
            told: dict[str, Any] = {"client_time": clock.format(more // len(CLOCKS)) if clock else None}
            if what == 6:
                told |= {"latitude": 40.0 + more / 10, "longitude": -70.0}
            rounds.tell(WORDS[what], at, number=number, **told)
        elif kind == "hear":
            listens.append(rounds.hear(what % 3, at, DURATIONS[more % len(DURATIONS)], number=number))
        elif kind == "heard":
            rounds.heard(listens[-1 - what % len(listens)], DURATIONS[more % len(DURATIONS)], at, number=number)
        else:
            rounds.forget(listens[-1 - what % len(listens)], at, number=number)
