"""What lists are answered from: written with the rows, kept up to date, and buried in time."""

from processors.roundware import rules
from schemas import roundware, topics
from schemas.codec import decode_envelope
from schemas.records import StoredRecord
from schemas.roundware import Event, Listen, Session
from tests.processors.roundware.listening import DEVICE, SID, USER, N, Rounds, seconds

DAY = 86_400


def test_what_a_client_posted_is_shown_as_the_door_wrote_it_without_what_it_sent() -> None:
    rounds = Rounds()
    rounds.open(stoptime="2026-01-01T01:00:00", language="fr")
    event = rounds.tell("filter_stream", 1, tags=(3, 8), tags_text="3,8", data="text", latitude_text="", quality=("x",))
    listen = rounds.hear(11, 2, "1.001")
    rounds.fold()
    decoded = [roundware.decode(record.value or b"") for record in map(_envelope_of, rounds.log)]
    assert rounds.shown() == {SID: decoded[0], f"{SID}/e:{event}": decoded[1], f"{SID}/l:{listen}": decoded[2]}
    assert all(b'"sent"' not in (r.value or b"") for r in rounds.written if r.topic == topics.ROUNDWARE.name)


def _envelope_of(record: StoredRecord) -> StoredRecord:
    return record._replace(value=decode_envelope(record.value or b"").event)


def test_a_change_is_shown_and_a_deletion_buries() -> None:
    rounds = Rounds()
    rounds.open()
    kept, deleted = rounds.hear(1, 1), rounds.hear(2, 2)
    rounds.fold()
    rounds.restart()
    rounds.heard(kept, "12.345", 15)
    rounds.heard(kept, None, 16)
    rounds.forget(deleted, 17)
    rounds.fold()
    shown = rounds.shown()
    assert f"{SID}/l:{deleted}" not in shown
    assert shown[f"{SID}/l:{kept}"] == Listen(
        *(kept, N, 1, USER, DEVICE, 1, "2022-01-02T03:04:05.678000", "2026-01-01T00:00:01"),
        duration_seconds="12.345",
        updates=2,
    )


def test_a_door_that_did_not_know_the_session_has_its_project_filled_in() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.send(Event(1, N, None, USER, "other device", "heartbeat", "2026-01-01T00:00:01"), 1)
    rounds.send(Listen(2, N, None, 3, None, 7, "2026-01-01T00:00:01", "2026-01-01T00:00:01"), 2)
    rounds.fold()
    rounds.restart()
    rounds.heard(2, "1", 3)
    rounds.fold()
    event, listen = rounds.shown()[f"{SID}/e:1"], rounds.shown()[f"{SID}/l:2"]
    assert (event.project, event.device) == (1, "other device")
    assert (listen.project, listen.user, listen.device) == (1, 3, None)


def test_only_the_newest_of_a_session_are_shown_and_all_sums_hold() -> None:
    rounds = Rounds()
    rounds.open()
    for number in range(rules.MAX_EVENTS + 20):
        rounds.tell("heartbeat", number)
    for number in range(rules.MAX_PLAYS + 20):
        rounds.hear(number % 7, 1000 + number, "0.5")
    rounds.tell("stop_session", 3000)
    rounds.fold()
    shown = rounds.shown()
    assert len([key for key in shown if "/e:" in key]) == rules.MAX_EVENTS
    assert len([key for key in shown if "/l:" in key]) == rules.MAX_PLAYS
    block = rounds.block()
    assert block["assetSeconds"] == block["heardSeconds"] == (rules.MAX_PLAYS + 20) / 2
    assert sum(asset["plays"] for asset in block["assets"]) == rules.MAX_PLAYS + 20
    assert block["flags"] == ["heardAsListening", "repeated", "truncated"]


def test_a_play_that_is_no_longer_kept_stays_in_the_sums_of_its_closed_visit() -> None:
    rounds = Rounds()
    rounds.open()
    listen = rounds.hear(1, 1, "5")
    other = rounds.hear(2, 2, "5")
    rounds.tell("stop_session", 60)
    for number in range(rules.MAX_PLAYS - 1):
        rounds.hear(9, 70 + number, "1")
    rounds.heard(listen, "50", 900)
    rounds.heard(other, "10", 901)
    rounds.fold()
    first, again = rounds.closes()
    assert f"{SID}/l:{listen}" not in rounds.shown()
    assert first["roundware"]["assetSeconds"] == 10
    assert again["roundware"]["assetSeconds"] == 15
    assert again["roundware"]["heardSeconds"] == 11
    assert [asset["asset"] for asset in again["roundware"]["assets"]] == [1, 2]


def test_seven_days_after_its_last_record_a_session_is_forgotten_and_buried() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("heartbeat", 10)
    rounds.hear(1, 20)
    rounds.fold()
    rounds.wait(7 * DAY + 20)
    assert len(rounds.shown()) == 3
    assert rounds.live_state() == {SID}
    rounds.wait(7 * DAY + 20.002)
    assert not rounds.shown()
    assert not rounds.live_state()
    assert len(rounds.closes()) == 1


def test_a_session_that_comes_back_after_it_was_forgotten_gets_numbers_it_never_had() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.fold()
    rounds.wait(8 * DAY)
    back = 8 * DAY + 5
    rounds.tell("heartbeat", back)
    rounds.tell("stop_session", back + 10)
    rounds.tell("stop_session", back + 20)
    rounds.fold()
    assert [row["mediabeat"]["instance"] for row in rounds.closes()] == [1, seconds(back), seconds(back) + 1]
    assert rounds.closes()[1]["roundware"]["session"] == {"projectId": 1, "userId": USER, "deviceId": DEVICE}


def test_a_backlog_forgets_a_session_as_the_clock_does() -> None:
    waited, backlog = Rounds(), Rounds()
    for rounds in (waited, backlog):
        rounds.open()
        rounds.hear(1, 5)
        rounds.fold()
        if rounds is waited:
            rounds.wait(7 * DAY + 6)
        rounds.tell("heartbeat", 7 * DAY + 7)
        rounds.fold()
    assert waited.all_rows() == backlog.all_rows()
    assert waited.shown() == backlog.shown()
    assert len(waited.shown()) == 1
    assert waited.live_state() == backlog.live_state() == {SID}


def test_a_session_record_is_shown_from_its_own_partition() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.fold()
    [record] = [r for r in rounds.written if r.topic == topics.ROUNDWARE.name]
    assert (record.partition, record.key) == (rounds.number, SID.encode())
    assert isinstance(roundware.decode(record.value or b""), Session)
