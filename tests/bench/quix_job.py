"""The peer: a quixstreams application that only sums play time per session, exactly once, one commit a second."""

import sys
from typing import Any

from quixstreams import Application, State

PLAYING = {"play": True, "pauseStart": False, "bufferStart": False, "sessionEnd": False, "sessionComplete": False}


def fold(envelope: dict[str, Any], state: State) -> dict[str, Any] | None:
    """The sum when the session ends, else nothing."""
    event = envelope["event"]
    kind, ts = event["eventType"], event["playerTime"]["ts"]
    last, playing, total = state.get("s") or (ts, False, 0)
    if playing:
        total += ts - last
    state.set("s", (ts, PLAYING.get(kind, playing), total))
    return {"sid": envelope["sid"], "playedMs": total} if kind == "sessionEnd" else None


def main(bootstrap: str, group: str, events: str, sums: str, state_dir: str) -> None:
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=1.0,
        state_dir=state_dir,
        loglevel="WARNING",
    )
    source = app.topic(events, key_deserializer="string", value_deserializer="json")
    sink = app.topic(sums, key_serializer="string", value_serializer="json")
    frame = app.dataframe(source)
    frame = frame.apply(fold, stateful=True).filter(lambda row: row is not None)
    frame.to_topic(sink)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
