"""Player states, rule by rule."""

from processors.session import rules as limits
from schemas.events import Event
from tests.processors.session.drive import BASE, at, drive, start


def on(seconds: float, name: str) -> Event:
    return at(seconds, "stateStart", 0, {"media.state.name": name})


def off(seconds: float, name: str) -> Event:
    return at(seconds, "stateEnd", 0, {"media.state.name": name})


def test_a_state_started_while_on_counts_once() -> None:
    numbers = drive(start(), on(0, "mute"), on(5, "mute"), off(10, "mute"), on(12, "mute"), at(20, "sessionEnd")).close
    assert numbers.states["mute"] == {"name": "mute", "isSet": True, "count": 2, "time": 18}
    assert numbers.flags == ["openState"]


def test_the_end_of_a_state_that_is_off_is_ignored() -> None:
    numbers = drive(start(), off(0, "mute"), at(5, "sessionEnd")).close
    assert numbers.states == {}
    assert "states" not in numbers.value["mediaReporting"]


def test_names_match_whatever_their_case() -> None:
    numbers = drive(
        start(), on(0, "fullScreen"), off(4, "FULLSCREEN"), on(5, "My.State"), off(8, "my.state"), at(9, "sessionEnd")
    ).close
    assert {name: known["time"] for name, known in numbers.states.items()} == {"fullscreen": 4, "My.State": 3}


def test_a_state_runs_on_through_pauses_buffers_and_ads() -> None:
    numbers = drive(
        start(),
        at(0, "play"),
        on(0, "inFocus"),
        at(5, "pauseStart", 5),
        at(10, "bufferStart", 5),
        at(15, "adBreakStart", 5, {"media.ad.podIndex": 0, "media.ad.podSecond": 5}),
        at(15, "adStart", 5, {"media.ad.id": "1"}),
        at(25, "adBreakComplete", 5),
        off(30, "inFocus"),
        at(40, "sessionEnd", 5),
    ).close
    assert numbers.states["inFocus"]["time"] == 30


def test_an_eleventh_state_is_discarded() -> None:
    numbers = drive(start(), *(on(n, f"state{n}") for n in range(12)), at(20, "sessionEnd")).close
    assert list(numbers.states) == [f"state{n}" for n in range(limits.MAX_STATES)]
    assert numbers.flags == ["truncated", "openState"]


def test_an_update_ends_and_starts_at_one_instant() -> None:
    def update(seconds: float, ends: list[str], starts: list[str]) -> Event:
        def names(listed: list[str]) -> list[dict[str, str]]:
            return [{"media.state.name": name} for name in listed]

        return at(seconds, "statesUpdate", 0, {"statesEnd": names(ends), "statesStart": names(starts)})

    numbers = drive(
        start(), update(0, [], ["mute"]), update(5, ["mute"], ["mute", "inFocus"]), at(9, "sessionEnd")
    ).close
    assert (numbers.states["mute"]["count"], numbers.states["mute"]["time"]) == (2, 9)
    assert numbers.states["inFocus"]["time"] == 4


def test_open_states_are_known_by_name_and_ts() -> None:
    told = drive(start(), on(3, "mute"), on(4, "inFocus"), off(5, "inFocus"))
    assert told.open.open_states == {"mute": BASE + 3_000}


def test_a_state_without_a_name_is_none() -> None:
    assert drive(start(), on(0, ""), at(1, "stateStart"), at(2, "statesUpdate"), at(3, "sessionEnd")).close.states == {}


def test_a_long_name_is_cut_and_flagged() -> None:
    numbers = drive(start(), on(0, "n" * 65), off(3, "N" * 70), at(4, "sessionEnd")).close
    assert numbers.states["n" * limits.MAX_STATE_NAME]["time"] == 3
    assert numbers.flags == ["truncated"]
    whole = drive(start(), on(0, "n" * 64), off(3, "n" * 64), at(4, "sessionEnd")).close
    assert whole.flags == []
