"""What a front door is made of, whatever log it appends to."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from deploy.admin import Reasons
from deploy.embedded import wall_clock
from deploy.failure import Failure
from deploy.process import serving
from deploy.settings import Settings
from deploy.telemetry import Figure, door_figures
from ingest import collector as door_rules
from ingest.app import DOOR, Bearing, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector
from ingest.express import short_way
from ingest.framing import DoorRunner
from ingest.ports import CompactedTopic, EventLog
from ingest.roundware.configuration import Configuration, WrongConfiguration
from ingest.roundware.configuration import parse as parse_configuration
from ingest.roundware.room import Room
from ingest.roundware.routes import add_roundware
from ingest.session_id import SessionKeys
from schemas import validation

_SHARE: Final = 1 / 4
"""Of the time to stop: to drain, and again to cut off who does not; the other half is for what comes after."""


class DoorLog(EventLog, CompactedTopic, Protocol):
    """What a door asks of its log."""


class FrontDoor:
    """Both dialects on one log. Failure says which setting cannot be used."""

    def __init__(self, settings: Settings, log: DoorLog, secret: Sequence[bytes]) -> None:
        self._log = log
        self._share_seconds = settings.grace_stop_ms / 1000 * _SHARE
        self._closed = closed = ClosedSessions(settings.session_cap_ms + settings.grace_ms)
        self.collector = Collector(log, SessionKeys(secret), closed, rules_of_door(settings), wall_clock)
        self.app = make_app(self.collector, Bearing(peer_privacy=settings.peer_privacy))
        self._room = Room(
            self.collector, log, secret, wall_clock, _configuration(settings), door=settings.roundware_door
        )
        add_roundware(self.app, self._room)
        self.drain = self.app[DOOR].drain

    def unready(self) -> tuple[Reasons, ...]:
        return (self.app[DOOR].unready, self._room.unready)

    def figures(self) -> tuple[Figure, ...]:
        folded = self._room.folded
        return (
            *door_figures(self.collector.counts, lambda: len(self._closed)),
            Figure("mediabeat_roundware_sessions_known", "gauge", "Roundware sessions in memory.", lambda: len(folded)),
            Figure("mediabeat_roundware_bytes_known", "gauge", "Bytes of them, bounded.", lambda: folded.size),
        )

    def follow(self) -> tuple[asyncio.Task[None], ...]:
        """Begin to follow what the lanes tell the doors. Neither task ends by itself."""
        return (
            asyncio.create_task(self._closed.follow(self._log, wall_clock), name="following closed sessions"),
            asyncio.create_task(self._room.follow(self._log), name="following Roundware sessions"),
        )

    def serving(
        self, sock: socket.socket, tls: ssl.SSLContext | None, *, linger: bool
    ) -> AbstractAsyncContextManager[None]:
        """Serve until the context ends, then drain; `linger`: give quiet connections time to be told so, too."""
        share = self._share_seconds
        runner = DoorRunner(self.app, connection=short_way(self.app[DOOR]), access_log=None, shutdown_timeout=share)
        counts = self.collector.counts
        linger_seconds = share if linger else 0.0
        return serving(
            runner, sock, tls, in_flight=lambda: counts.in_flight, drain_seconds=share, linger_seconds=linger_seconds
        )


def rules_of_door(settings: Settings) -> door_rules.Rules:
    validation.prepare(settings.profile)  # before the first request, whose answer it would hold up
    return door_rules.Rules(
        profile=settings.profile,
        max_event_bytes=settings.max_event_bytes,
        max_batch_bytes=settings.max_batch_bytes,
        max_batch_events=settings.max_batch_events,
    )


def _configuration(settings: Settings) -> Configuration:
    if settings.roundware_file is None:
        return Configuration()
    try:
        return parse_configuration(settings.roundware_file.read_bytes())
    except (OSError, WrongConfiguration) as wrong:
        raise Failure(f"MEDIABEAT_ROUNDWARE_FILE {settings.roundware_file} cannot be used: {wrong}") from wrong
