"""The settings of every process: the only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from deploy.readings import (
    FILE,
    NAME,
    SECRET_BYTES,
    TEXT,
    YES_NO,
    Reading,
    choice,
    number,
    parse_bootstrap,
    parse_secrets,
    parse_text,
    seconds,
    whole,
)
from ingest.peers import PeerPrivacy
from processors.session.rules import Rules
from schemas.validation import Profile

PREFIX: Final = "MEDIABEAT_"
ADMIN_PORT_FROM: Final = 8081

LogLevel = Literal["debug", "info", "warning", "error"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class WrongSetting(Exception):
    """A value that cannot be used. The message names the setting, the value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, judged. Times are milliseconds here and seconds where people write them."""

    bootstrap: str | None
    data: Path
    port: int
    host: str
    admin_port: int | None
    secret: tuple[bytes, ...]
    partitions: int | None
    profile: Profile
    idle_timeout_ms: int
    still_timeout_ms: int
    session_cap_ms: int
    grace_ms: int
    reorder_window_ms: int
    reorder_window_events: int
    heartbeat_interval_ms: int
    commit_interval_ms: int
    max_event_bytes: int
    max_batch_bytes: int
    max_batch_events: int
    group: str
    slot: str | None
    transactions: Literal["auto", "classic"]
    undecided: Literal["refuse", "commit", "abort"]
    grace_stop_ms: int
    peer_privacy: PeerPrivacy
    roundware_idle_timeout_ms: int
    roundware_file: Path | None
    roundware_door: int | None
    log_level: LogLevel
    kafka_security_protocol: SecurityProtocol
    kafka_sasl_mechanism: SaslMechanism | None
    kafka_sasl_username: str | None
    kafka_sasl_password: str | None
    kafka_ssl_cafile: Path | None
    kafka_ssl_certfile: Path | None
    kafka_ssl_keyfile: Path | None
    kafka_ssl_password: str | None
    tls_cert: Path | None
    tls_key: Path | None
    switches: tuple[tuple[str, Any], ...]
    """Fields of Rules beyond the times above, in the order of SETTINGS."""

    def rules(self) -> Rules:
        """How sessions are read, as the machine wants it."""
        return Rules(
            idle_timeout_ms=self.idle_timeout_ms,
            still_timeout_ms=self.still_timeout_ms,
            session_cap_ms=self.session_cap_ms,
            grace_ms=self.grace_ms,
            reorder_window_ms=self.reorder_window_ms,
            reorder_window_events=self.reorder_window_events,
            heartbeat_interval_ms=self.heartbeat_interval_ms,
            **dict(self.switches),
        )


class Setting(NamedTuple):
    """One setting: MEDIABEAT_<name> in the environment, --<name> as a flag. `default` None: absent means None."""

    name: str
    reading: Reading
    default: str | None
    help: str
    field: str
    is_secret: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name

    @property
    def flag(self) -> str:
        return "--" + self.name.lower().replace("_", "-")


_DAY: Final = 86_400
_RULE: Final = "rules."
_RULES: Final = frozenset(field.name for field in fields(Rules))


def _plain(name: str, reading: Reading, default: str | None, text: str, *, is_secret: bool = False) -> Setting:
    return Setting(name, reading, default, text, name.lower(), is_secret)


def _time(name: str, reading: Reading, default: str, text: str) -> Setting:
    return Setting(name, reading, default, text, name.lower() + "_ms")


def _switch(name: str, reading: Reading, default: str, text: str) -> Setting:
    """One reading of the report rules, of those `processors.session.rules.Rules` explains."""
    field = name.lower() if name.lower() in _RULES else name.lower() + "_ms"
    return Setting(name, reading, default, text, _RULE + field)


SETTINGS: Final = (
    _plain(
        "BOOTSTRAP",
        Reading(parse_bootstrap, "host:port, several separated by commas"),
        None,
        "address of Kafka; absent where the embedded log is meant",
    ),
    _plain(
        "DATA",
        Reading(lambda text: Path(parse_text(text)), "a directory"),
        "mediabeat-data",
        "where the embedded log lives",
    ),
    _plain("PORT", whole(0, 65535), "8080", "where players post to; 0 takes any free port"),
    _plain("HOST", TEXT, "127.0.0.1", "address to listen on; 0.0.0.0 to be reached from other machines"),
    _plain("ADMIN_PORT", whole(0, 65535), None, "the operator's port; without it the next free one from 8081"),
    _plain(
        "SECRET",
        Reading(parse_secrets, f"at least {SECRET_BYTES} bytes each, separated by commas"),
        None,
        "keys of session ids: the first signs, all verify; the embedded log makes and keeps its own",
        is_secret=True,
    ),
    _plain(
        "PARTITIONS",
        whole(1, 1024),
        None,
        "partitions of every topic (12 for new ones); stops the start if the log has others",
    ),
    _plain(
        "PROFILE",
        Reading(lambda text: Profile(text.lower()), "one of lenient, strict"),
        "lenient",
        "how documents are judged",
    ),
    _time("IDLE_TIMEOUT", seconds(0.1, 7 * _DAY), "600", "silence that ends a session"),
    _time("STILL_TIMEOUT", seconds(0.1, 7 * _DAY), "1800", "unmoved playhead that ends a session"),
    _time("SESSION_CAP", seconds(1, 30 * _DAY), "86400", "the longest a session may last"),
    _time("GRACE", seconds(0, _DAY), "60", "added to every timeout before it strikes"),
    _time("REORDER_WINDOW", seconds(0, 600), "5", "how long an event may wait for an earlier one"),
    _time("HEARTBEAT_INTERVAL", seconds(0.1, _DAY), "30", "between two heartbeat rows of an open session"),
    _time("COMMIT_INTERVAL", seconds(0.001, 10), "0.1", "the least time between two commits of a lane"),
    _plain("MAX_EVENT_BYTES", whole(1024, 900_000), "65536", "largest single event"),
    _plain("MAX_BATCH_BYTES", whole(1024, 256 * 1024 * 1024), "8388608", "largest offline batch"),
    _plain("MAX_BATCH_EVENTS", whole(1, 1_000_000), "20000", "most events in an offline batch"),
    _plain("GROUP", NAME, "mediabeat", "the workers' consumer group"),
    _plain("SLOT", NAME, None, "a worker's unique name; without it <host>-<n>, n the first that is free"),
    _plain("TRANSACTIONS", choice("auto", "classic"), "auto", "a lane's; auto: in two steps where Kafka knows how"),
    _plain(
        "UNDECIDED",
        choice("refuse", "commit", "abort"),
        "refuse",
        "a transaction that Kafka left open, if nothing tells how it ended",
    ),
    _time("GRACE_STOP", seconds(0.1, 3600), "20", "how long a stop may take"),
    _plain("PEER_PRIVACY", choice("full", "truncated", "none"), "truncated", "how much of a player's address is kept"),
    _time("ROUNDWARE_IDLE_TIMEOUT", seconds(0.1, 7 * _DAY), "1800", "silence that ends a visit of a Roundware session"),
    _plain("ROUNDWARE_FILE", FILE, None, "Roundware's projects, stubs and tokens issued elsewhere, JSON"),
    _plain("ROUNDWARE_DOOR", whole(0, 63), None, "this door's place in Roundware numbers; without it one by chance"),
    _plain("LOG_LEVEL", choice("debug", "info", "warning", "error"), "info", "the least severity that is logged"),
    _plain(
        "KAFKA_SECURITY_PROTOCOL",
        choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL", fold=str.upper),
        "PLAINTEXT",
        "how Kafka is spoken to",
    ),
    _plain(
        "KAFKA_SASL_MECHANISM",
        choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", fold=str.upper),
        None,
        "how we prove to Kafka who we are",
    ),
    _plain("KAFKA_SASL_USERNAME", TEXT, None, "name at Kafka"),
    _plain("KAFKA_SASL_PASSWORD", TEXT, None, "password at Kafka", is_secret=True),
    _plain("KAFKA_SSL_CAFILE", FILE, None, "certificates that Kafka's are checked with; without it the system's"),
    _plain("KAFKA_SSL_CERTFILE", FILE, None, "our certificate for Kafka"),
    _plain("KAFKA_SSL_KEYFILE", FILE, None, "its key"),
    _plain("KAFKA_SSL_PASSWORD", TEXT, None, "password of that key", is_secret=True),
    _plain("TLS_CERT", FILE, None, "certificate chain of the front door, PEM; with TLS_KEY it speaks https"),
    _plain("TLS_KEY", FILE, None, "key of that certificate, PEM"),
    _plain("REORDER_WINDOW_EVENTS", whole(1, 1000), "10", "how many events may wait so; the first in order then goes"),
    _switch("RESUMED_IS_START", YES_NO, "true", "a resumed session counts as a media start too"),
    _switch("UNFINISHED_ROWS", YES_NO, "true", "skipped and abandoned ads and chapters have rows"),
    _switch("BREAK_GAP", choice("content", "none"), "content", "who gets the play time between two ads of a break"),
    _switch("ERROR_INTERRUPTS", YES_NO, "false", "an error stops the clocks until the player says more"),
    _switch("BRIDGE_ZERO_LENGTH_PLAY", YES_NO, "true", "a play of no length splits no pause and no buffering"),
    _switch("MARKER_RULE", choice("crossing", "reached"), "crossing", "what sets a progress marker"),
    _switch("LIVE_MARKERS", choice("fromZero", "always", "never", fold=str), "fromZero", "markers of live content"),
    _switch("LIVE_ZERO_SECONDS", number(0, 3600), "10", "a first playhead up to here counts from zero"),
    _switch("SEGMENT_MINUTES", whole(1, 60), "1", "what the ends of a segment are rounded out to"),
    _switch("MAX_RATE", number(1, 100), "2", "how much faster than the clock a playhead may run before it is a seek"),
    _switch("SEEK_SLACK_SECONDS", number(0, 3600), "2", "and how far ahead of it"),
    _switch("STALL_EVENTS", whole(2, 100), "3", "so many events with an unmoved playhead make a stall"),
    _switch("STALL_MIN", seconds(0, 3600), "3", "the shortest stall"),
    _switch("BPS_FROM", whole(0, 10**9), "100000", "bitrates from here on are bits per second; 0: none is"),
    _switch("CHAPTER_ID", choice("index", "offset"), "index", "what a chapter's id is made of"),
    _switch("LAST_CALL", choice("event", "action"), "event", "what secondsSinceLastCall counts from"),
    _switch("GAP_CAP", seconds(0, _DAY), "0", "the most that one gap between events adds; 0: no cap"),
    _switch("LONG_GAP", seconds(0, 7 * _DAY), "60", "a gap in play beyond it raises the flag longGap"),
    _switch("CLOCK_JUMP", seconds(1, 30 * _DAY), "604800", "a gap beyond it is a clock that was set, not time"),
)
BY_NAME: Final = {setting.name: setting for setting in SETTINGS}

KAFKA: Final = ("BOOTSTRAP", *(setting.name for setting in SETTINGS if setting.name.startswith("KAFKA_")))
LOG: Final = ("DATA", *KAFKA, "LOG_LEVEL")
"""What a command needs to find and read the log."""


def load(flags: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags (by setting name), else the environment, else the default. Raises WrongSetting."""
    flags = flags or {}
    environ = os.environ if environ is None else environ
    values = {setting.field: _value(setting, flags.get(setting.name), environ) for setting in SETTINGS}
    switches = tuple((name.removeprefix(_RULE), values.pop(name)) for name in list(values) if name.startswith(_RULE))
    settings = Settings(**values, switches=switches)
    _judge_together(settings)
    return settings


def misspelt(environ: Mapping[str, str] | None = None) -> list[str]:
    """Variables that carry our prefix and name no setting: worth a warning, for a typo changes nothing silently."""
    environ = os.environ if environ is None else environ
    return sorted(name for name in environ if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in BY_NAME)


def _value(setting: Setting, flag: str | None, environ: Mapping[str, str]) -> Any:
    # An empty variable is how a compose file says "not set".
    named, text = setting.flag, flag
    if text is None:
        named, text = setting.variable, environ.get(setting.variable) or setting.default
    if text is None:
        return () if setting.name == "SECRET" else None
    try:
        return setting.reading.parse(text)
    except (ValueError, OverflowError, KeyError):
        shown = "(not shown)" if setting.is_secret else repr(text)
        raise WrongSetting(f"{named} is {shown}; allowed: {setting.reading.allowed}") from None


def _judge_together(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        given, missing = ("TLS_CERT", "TLS_KEY") if settings.tls_cert else ("TLS_KEY", "TLS_CERT")
        raise WrongSetting(f"{PREFIX}{given} is set without {PREFIX}{missing}; allowed: both or neither")
    if settings.port and settings.port == settings.admin_port:
        raise WrongSetting(f"{PREFIX}ADMIN_PORT is {settings.port}; allowed: another port than {PREFIX}PORT")
    if settings.max_event_bytes > settings.max_batch_bytes:
        raise WrongSetting(
            f"{PREFIX}MAX_BATCH_BYTES is {settings.max_batch_bytes}; allowed: at least "
            f"{PREFIX}MAX_EVENT_BYTES ({settings.max_event_bytes})"
        )
    if settings.kafka_security_protocol.startswith("SASL") and not (
        settings.kafka_sasl_mechanism and settings.kafka_sasl_username and settings.kafka_sasl_password
    ):
        raise WrongSetting(
            f"{PREFIX}KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol!r}; allowed: only together with "
            f"{PREFIX}KAFKA_SASL_MECHANISM, _USERNAME and _PASSWORD"
        )


# A setting without a field, or a field without a setting, is our mistake: it shows at import, not in production.
_FIELDS: Final = {setting.field for setting in SETTINGS if not setting.field.startswith(_RULE)} | {"switches"}
if {field.name for field in fields(Settings)} != _FIELDS:
    raise AssertionError("SETTINGS and Settings differ")
