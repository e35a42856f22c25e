"""Roundware sessions as bytes: the layout is a promise to the next release."""

from pathlib import Path

import orjson
import pytest

from processors.roundware import packed
from processors.roundware.packed import UnknownLayout
from processors.roundware.rules import RoundwareRules
from tests.processors.partition import T0
from tests.processors.roundware.listening import SID, Rounds

GOLDEN = Path(__file__).parent / "golden_state_1.json"
"""Records of layout 1, and the rows made of them. Written once; never rewritten, or the promise is none."""
LATE = 90_000


def busy() -> Rounds:
    """A session with a closed visit and an open one, and something of everything that is kept."""
    rounds = Rounds()
    rounds.open(timezone="-0500", client_type="web", device="a device \U0001f3a7")
    rounds.tell("play_stream", 1, client_time="2026-01-01T00:00:01Z")
    rounds.hear(11, 2)
    rounds.hear(12, 3, "4.5")
    rounds.tell("stop_session", 20)
    rounds.tell("location_update", 30, latitude=42.0, longitude=-71.0, client_time="soon", quality=("badTags",))
    rounds.tell("location_update", 31, latitude=42.1, longitude=-71.1)
    rounds.tell("pause_stream", 32, client_time=None)
    rounds.tell("play_stream", 33, client_time="2025-12-31T19:00:33")
    rounds.hear(11, 34)
    rounds.hear(11, 36, "2")
    rounds.tell("pause_stream", 38, client_time="2025-12-31T19:00:38")
    return rounds


def after(rounds: Rounds) -> list[dict]:
    """The rows of what follows: a revision of the first visit, and the end of the second."""
    before = len(rounds.all_rows())
    listen = next(document.id for key, document in sorted(rounds.shown().items()) if "/l:" in key)
    rounds.heard(listen, "1", 40)
    rounds.tell("heartbeat", 41)
    rounds.fold()
    rounds.wait(LATE)
    return rounds.all_rows()[before:]


def golden() -> dict[str, str]:
    found: dict[str, str] = orjson.loads(GOLDEN.read_bytes())
    return found


def test_a_record_of_layout_1_is_still_read_and_gives_the_rows_it_gave() -> None:
    rounds = busy()
    rounds.fold()
    rounds.table = rounds.new_table()
    record = rounds.state()[0]
    rounds.table.restore([record._replace(value=bytes.fromhex(golden()["state"]))])
    rounds.table.restored()
    assert after(rounds) == golden()["rows"]


def test_this_release_writes_what_it_promised() -> None:
    rounds = busy()
    rounds.fold()
    [record] = rounds.state()
    assert record.value == bytes.fromhex(golden()["state"])
    assert after(rounds) == golden()["rows"]


def test_everything_in_the_golden_record_is_set() -> None:
    state = packed.unpack(SID, bytes.fromhex(golden()["state"]))
    visit, last = state.visit, state.last
    assert visit is not None
    assert last is not None
    assert (visit.ordinal, last.ordinal, len(state.plays), len(state.events)) == (2, 1, 4, 7)
    assert visit.marks
    assert visit.recent
    assert visit.meters > 0
    assert visit.listening.stopped_twice
    assert visit.flags == ["badTags", "unreadableTime"]
    assert [play.cut_at is None for play in state.plays.values()] == [True, True, False, False]
    assert last.reason == "explicit"


@pytest.mark.parametrize("layout", [0, 2, 255])
def test_a_record_of_a_layout_from_later_is_refused_by_name(layout: int) -> None:
    value = bytes([layout]) + bytes.fromhex(golden()["state"])[1:]
    rounds = busy()
    rounds.fold()
    table = rounds.new_table()
    table.restore([rounds.state()[0]._replace(value=value)])
    with pytest.raises(UnknownLayout, match=f"layout {layout}"):
        table.restored()
    with pytest.raises(UnknownLayout):
        packed.unpack(SID, value)


def test_the_deadline_and_the_clock_are_read_without_unpacking() -> None:
    value = bytes.fromhex(golden()["state"])
    assert packed.times_of(value) == (T0 + 38_000 + RoundwareRules().idle_timeout_ms, T0 + 38_000)
