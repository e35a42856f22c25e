"""The play state of one session: a second reading of reports.md 4.2."""

from dataclasses import dataclass


@dataclass(slots=True)
class Playback:
    """The play state: starting, play, pause, buffer or completed; and what the bridge of a zero-length play needs."""

    state: str = "starting"
    playing_since: int = 0
    state_before_play: str = "starting"
    pauses: int = 0
    buffers: int = 0

    def enter(self, state: str, at: int) -> None:
        if state == self.state:
            return
        bridged = self.state == "play" and self.playing_since == at and self.state_before_play == state
        if state == "play":
            self.playing_since, self.state_before_play = at, self.state
        elif not bridged:
            self.pauses += state == "pause"
            self.buffers += state == "buffer"
        self.state = state
