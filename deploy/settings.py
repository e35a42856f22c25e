"""The settings of every process: the only reader of the environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from ingest.peers import PeerPrivacy
from processors.session.rules import Rules
from schemas.validation import Profile

PREFIX: Final = "MEDIABEAT_"
SECRET_BYTES: Final = 32
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
    heartbeat_interval_ms: int
    commit_interval_ms: int
    max_event_bytes: int
    max_batch_bytes: int
    max_batch_events: int
    group: str
    slot: str | None
    grace_stop_ms: int
    peer_privacy: PeerPrivacy
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

    def rules(self) -> Rules:
        """How sessions are read, as the machine wants it."""
        return Rules(
            idle_timeout_ms=self.idle_timeout_ms,
            still_timeout_ms=self.still_timeout_ms,
            session_cap_ms=self.session_cap_ms,
            grace_ms=self.grace_ms,
            reorder_window_ms=self.reorder_window_ms,
            heartbeat_interval_ms=self.heartbeat_interval_ms,
        )


class Reading(NamedTuple):
    """How the text of a setting becomes its value: `parse` raises ValueError on what `allowed` leaves out."""

    parse: Callable[[str], Any]
    allowed: str


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


def _between(low: int, high: int) -> Callable[[int], int]:
    def judge(number: int) -> int:
        if not low <= number <= high:
            raise ValueError(number)
        return number

    return judge


def _whole(low: int, high: int) -> Reading:
    judge = _between(low, high)
    return Reading(lambda text: judge(int(text)), f"a whole number from {low} to {high}")


def _seconds(low: float, high: float) -> Reading:
    judge = _between(round(low * 1000), round(high * 1000))
    return Reading(lambda text: judge(round(float(text) * 1000)), f"seconds, from {low:g} to {high:g}")


def _choice(*allowed: str, fold: Callable[[str], str] = str.lower) -> Reading:
    known = frozenset(allowed)

    def parse(text: str) -> str:
        if fold(text) not in known:
            raise ValueError(text)
        return fold(text)

    return Reading(parse, "one of " + ", ".join(allowed))


def _parse_text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text.strip()


def _parse_name(text: str) -> str:
    # Topic groups, transactional ids and lock files are made of it.
    if not text or len(text) > 100 or not all(c.isalnum() or c in "._-" for c in text):
        raise ValueError(text)
    return text


def _parse_secrets(text: str) -> tuple[bytes, ...]:
    secrets = tuple(part.strip().encode() for part in text.split(","))
    if any(len(secret) < SECRET_BYTES for secret in secrets):
        raise ValueError("short")
    return secrets


def _parse_bootstrap(text: str) -> str:
    for address in text.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon) or not 0 < int(port) < 65536:
            raise ValueError(text)
    return text


def _parse_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError(text)
    return path


_TEXT: Final = Reading(_parse_text, "any text")
_NAME: Final = Reading(_parse_name, "at most 100 letters, digits, '.', '_' or '-'")
_FILE: Final = Reading(_parse_file, "the path of a file that exists")
_DAY: Final = 86_400


def _plain(name: str, reading: Reading, default: str | None, text: str, *, is_secret: bool = False) -> Setting:
    return Setting(name, reading, default, text, name.lower(), is_secret)


def _time(name: str, reading: Reading, default: str, text: str) -> Setting:
    return Setting(name, reading, default, text, name.lower() + "_ms")


SETTINGS: Final = (
    _plain(
        "BOOTSTRAP",
        Reading(_parse_bootstrap, "host:port, several separated by commas"),
        None,
        "address of Kafka; absent where the embedded log is meant",
    ),
    _plain(
        "DATA",
        Reading(lambda text: Path(_parse_text(text)), "a directory"),
        "mediabeat-data",
        "where the embedded log lives",
    ),
    _plain("PORT", _whole(0, 65535), "8080", "where players post to; 0 takes any free port"),
    _plain("HOST", _TEXT, "127.0.0.1", "address to listen on; 0.0.0.0 to be reached from other machines"),
    _plain("ADMIN_PORT", _whole(0, 65535), None, "the operator's port; without it the next free one from 8081"),
    _plain(
        "SECRET",
        Reading(_parse_secrets, f"at least {SECRET_BYTES} bytes each, separated by commas"),
        None,
        "keys of session ids: the first signs, all verify; the embedded log makes and keeps its own",
        is_secret=True,
    ),
    _plain(
        "PARTITIONS",
        _whole(1, 1024),
        None,
        "partitions of every topic (12 for new ones); stops the start if the log has others",
    ),
    _plain(
        "PROFILE",
        Reading(lambda text: Profile(text.lower()), "one of lenient, strict"),
        "lenient",
        "how documents are judged",
    ),
    _time("IDLE_TIMEOUT", _seconds(0.1, 7 * _DAY), "600", "silence that ends a session"),
    _time("STILL_TIMEOUT", _seconds(0.1, 7 * _DAY), "1800", "unmoved playhead that ends a session"),
    _time("SESSION_CAP", _seconds(1, 30 * _DAY), "86400", "the longest a session may last"),
    _time("GRACE", _seconds(0, _DAY), "60", "added to every timeout before it strikes"),
    _time("REORDER_WINDOW", _seconds(0, 600), "5", "how long an event may wait for an earlier one"),
    _time("HEARTBEAT_INTERVAL", _seconds(0.1, _DAY), "30", "between two heartbeat rows of an open session"),
    _time("COMMIT_INTERVAL", _seconds(0.001, 10), "0.1", "the least time between two commits of a lane"),
    _plain("MAX_EVENT_BYTES", _whole(1024, 900_000), "65536", "largest single event"),
    _plain("MAX_BATCH_BYTES", _whole(1024, 256 * 1024 * 1024), "8388608", "largest offline batch"),
    _plain("MAX_BATCH_EVENTS", _whole(1, 1_000_000), "20000", "most events in an offline batch"),
    _plain("GROUP", _NAME, "mediabeat", "the workers' consumer group"),
    _plain("SLOT", _NAME, None, "a worker's unique name; without it <host>-<n>, n the first that is free"),
    _time("GRACE_STOP", _seconds(0.1, 3600), "20", "how long a stop may take"),
    _plain("PEER_PRIVACY", _choice("full", "truncated", "none"), "truncated", "how much of a player's address is kept"),
    _plain("LOG_LEVEL", _choice("debug", "info", "warning", "error"), "info", "the least severity that is logged"),
    _plain(
        "KAFKA_SECURITY_PROTOCOL",
        _choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL", fold=str.upper),
        "PLAINTEXT",
        "how Kafka is spoken to",
    ),
    _plain(
        "KAFKA_SASL_MECHANISM",
        _choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", fold=str.upper),
        None,
        "how we prove to Kafka who we are",
    ),
    _plain("KAFKA_SASL_USERNAME", _TEXT, None, "name at Kafka"),
    _plain("KAFKA_SASL_PASSWORD", _TEXT, None, "password at Kafka", is_secret=True),
    _plain("KAFKA_SSL_CAFILE", _FILE, None, "certificates that Kafka's are checked with; without it the system's"),
    _plain("KAFKA_SSL_CERTFILE", _FILE, None, "our certificate for Kafka"),
    _plain("KAFKA_SSL_KEYFILE", _FILE, None, "its key"),
    _plain("KAFKA_SSL_PASSWORD", _TEXT, None, "password of that key", is_secret=True),
    _plain("TLS_CERT", _FILE, None, "certificate chain of the front door, PEM; with TLS_KEY it speaks https"),
    _plain("TLS_KEY", _FILE, None, "key of that certificate, PEM"),
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
    settings = Settings(**values)
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
    except (ValueError, OverflowError):
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
if {setting.field for setting in SETTINGS} != {field.name for field in fields(Settings)}:
    raise AssertionError("SETTINGS and Settings differ")
