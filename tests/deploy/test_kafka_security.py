"""TLS and passwords on a real broker: every part works through them, and whoever is not let in is told why."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import orjson
import pytest

from deploy import settings, topic_admin
from deploy.__main__ import main
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import door_log, lane_group
from deploy.kafka_reader import kafka_reader
from deploy.kafka_settings import kafka_clients
from schemas import topics
from schemas.records import Record
from tests.contracts.kafka_harness import fresh_topics
from tests.deploy.sent_at_once import Batch, send
from tests.e2e.players import event, now_ms, watched
from tests.e2e.running import PATIENCE_SECONDS, environment, eventually, kill_after, request
from tests.secure_broker import KEY_PASSWORD, PLAIN_PASSWORD, SCRAM_PASSWORD, SecureBroker, secure_broker

WAYS = [("SSL", "no name"), ("SASL_SSL", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-512"), ("SASL_PLAINTEXT", "SCRAM-SHA-512")]
PARTITIONS = 2
DOOR_SECRET = "s3cret-of-the-doors-that-is-32-bytes-long"
PASSWORDS = (PLAIN_PASSWORD, SCRAM_PASSWORD, KEY_PASSWORD, DOOR_SECRET)
EVENTS, ROWS = topics.EVENTS.name, topics.SESSION_CLOSE.name


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    with secure_broker(tmp_path_factory.mktemp("secure")) as broker:
        yield broker


def clients(values: dict[str, str]) -> KafkaClients:
    return kafka_clients(settings.load(environ={f"MEDIABEAT_{name}": value for name, value in values.items()}))


@pytest.mark.parametrize(("listener", "mechanism"), WAYS)
async def test_topics_door_lanes_and_readers_work_through_every_listener(
    broker: SecureBroker, listener: str, mechanism: str
) -> None:
    await fresh_topics(KafkaClients(broker.bootstrap), PARTITIONS)
    secured = clients(broker.environment(listener, mechanism))
    assert await topic_admin.check(secured, PARTITIONS) == []
    async with door_log(secured) as door, lane_group(secured, f"{listener}-{mechanism}", "a") as group:
        await door.append(Record(EVENTS, 1, b"sid", b"in"))
        assert door._producer is not None
        batch = Batch(1, partition=1)
        assert send(door._producer, batch) == []
        assert await batch.outcome is None
        owned = await anext(aiter(group.assignments()))
        assert owned == {0, 1}
        lane = await group.open_lane(1)
        fetch = await lane.read(await lane.committed(), 10, PATIENCE_SECONDS)
        assert [record.value for record in fetch.records] == [b"in", b"1"]
        await lane.commit([Record(ROWS, 1, b"sid", b"out")], fetch.next_offset)
        await lane.close()
    reader = await kafka_reader(secured)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found: list[bytes | None] = []
            while not found:  # a commit is visible a little after it was acknowledged
                async for _, records in reader.records(ROWS, from_start=True, follow=False):
                    found += [record.value for record in records]
    finally:
        await reader.close()
    assert found == [b"out"]


def test_the_commands_work_by_their_settings_and_write_no_secret_anywhere(broker: SecureBroker, tmp_path: Path) -> None:
    asyncio.run(fresh_topics(KafkaClients(broker.bootstrap), PARTITIONS))
    values = {**broker.environment("SASL_SSL", "SCRAM-SHA-512"), "LOG_LEVEL": "debug", "ADMIN_PORT": "0"}
    values |= {"SECRET": DOOR_SECRET, "PORT": "0", "REORDER_WINDOW": "0.2"}
    with ExitStack() as stack:
        stack.callback(lambda: none_is_told(path.read_text() for path in tmp_path.iterdir()))
        door, _ = (stack.enter_context(Command([name], values, tmp_path)) for name in ("ingest", "worker"))
        url = door.wait_for("is ready at ").partition("is ready at ")[2].partition(";")[0]
        began = now_ms() - 5_000
        headers = {"Content-Type": "application/json"}
        sid = ""
        for document in [*watched(began, 5), event("sessionEnd", began + 5_000, 5)]:
            path = f"/api/v1/sessions/{sid}/events" if sid else "/api/v1/sessions"
            answer = request(url, "POST", path, orjson.dumps(document), headers)
            assert answer.status in {201, 204}
            sid = sid or answer.sid
        tail = stack.enter_context(Command(["tail", "session-close", "--from-start"], values, tmp_path))
        assert orjson.loads(tail.wait_for(sid))["key"] == sid


REFUSED = [
    ("SASL_SSL", {"KAFKA_SASL_PASSWORD": "wrong-pa55"}, "refuses our name or password"),
    ("SASL_PLAINTEXT", {"KAFKA_SASL_USERNAME": "nobody"}, "refuses our name or password"),
    ("SASL_PLAINTEXT", {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}, "refuses our name or password"),
    ("SASL_PLAINTEXT", {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, "does not take SCRAM-SHA-256"),
    ("SASL_SSL", {"KAFKA_SSL_CAFILE": "strange-ca.pem"}, "certificate that we do not trust"),
    ("SSL", {"KAFKA_SSL_CAFILE": ""}, "certificate that we do not trust"),
    ("SASL_SSL", {"BOOTSTRAP": "127.0.0.1"}, "certificate of another host"),
    ("SSL", {"KAFKA_SSL_CERTFILE": "", "KAFKA_SSL_KEYFILE": ""}, "want a certificate of ours"),
    ("SSL", {"KAFKA_SSL_PASSWORD": "wrong-pa55"}, "MEDIABEAT_KAFKA_SSL_"),
    ("SASL_SSL", {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "does it speak PLAINTEXT"),
    ("SASL_PLAINTEXT", {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "does it speak SASL_SSL"),
    ("SSL", {"BOOTSTRAP": "localhost:1"}, "it takes no connection"),
]


@pytest.mark.parametrize("case", REFUSED, ids=[said for _, _, said in REFUSED])
def test_who_is_not_let_in_is_told_why_in_one_line(
    broker: SecureBroker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, dict[str, str], str],
) -> None:
    listener, wrong, said = case
    values = broker.environment(listener) | wrong
    if values["BOOTSTRAP"] == "127.0.0.1":
        values["BOOTSTRAP"] += f":{broker.ports[listener]}"
    if wrong.get("KAFKA_SSL_CAFILE"):
        values["KAFKA_SSL_CAFILE"] = str(broker.home / wrong["KAFKA_SSL_CAFILE"])
    for name, value in values.items():
        monkeypatch.setenv(f"MEDIABEAT_{name}", value)
    assert main(["topics", "check"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mediabeat topics: ")
    assert told.err.count("\n") == 1
    assert said in told.err
    none_is_told([told.err])


def test_every_command_says_so_and_ends_with_1(broker: SecureBroker, tmp_path: Path) -> None:
    values = broker.environment("SASL_SSL") | {"KAFKA_SASL_PASSWORD": "wrong-pa55", "SECRET": DOOR_SECRET}
    values |= {"PORT": "0", "ADMIN_PORT": "0", "LOG_LEVEL": "debug"}
    commands = [["ingest"], ["worker"], ["tail", "events"], ["replay", "--from", "rejects", "--url", "http://x:1"]]
    with ThreadPoolExecutor(len(commands)) as side_by_side:
        ended = list(side_by_side.map(lambda command: ended_by_itself(command, values), commands))
    for done in ended:
        assert done.returncode == 1, done.args
        assert "refuses our name or password" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        none_is_told([done.stderr, done.stdout])


def ended_by_itself(command: list[str], values: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deploy", *command],
        env=environment_of(values),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


class Command:
    """One that runs on; all it writes goes to a file."""

    def __init__(self, command: list[str], values: dict[str, str], home: Path) -> None:
        self._command = [sys.executable, "-m", "deploy", *command]
        self._environment = environment_of(values)
        self._log = home / f"{command[0]}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        self._timer = kill_after(self._process)  # type: ignore[arg-type]
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.wait()

    def wait_for(self, text: str) -> str:
        """The first whole line that holds it."""

        def line() -> str | None:
            written = self._log.read_text()
            assert self._process.poll() is None, written
            return next((one for one in written.splitlines(keepends=True) if text in one and one.endswith("\n")), None)

        return eventually(line)


def environment_of(values: dict[str, str]) -> dict[str, str]:
    return {**environment(), **{f"MEDIABEAT_{name}": value for name, value in values.items()}}


def none_is_told(written: Iterable[str]) -> None:
    for text in written:
        for secret in (*PASSWORDS, "wrong-pa55"):
            assert secret not in text
