"""SIGTERM while clients have many requests under way: what was answered is on the log, in its order, and all end well."""

import asyncio
import signal
from collections import defaultdict
from pathlib import Path

import pytest

from tests.e2e.pipelines import FLOODS, Pipeline, never_reads
from tests.e2e.running import PATIENCE_SECONDS, TLS, Running, running

PLAIN: tuple[str, ...] = ()
ENCRYPTED = ("--tls-cert", str(TLS / "cert.pem"), "--tls-key", str(TLS / "key.pem"))


async def stopped_amid(process: Running, pipelines: list[Pipeline], answers: int) -> int:
    """The exit status of a process that gets its signal when so many requests have been answered."""
    url = process.url.replace("127.0.0.1", "localhost")
    # Only beside one of the two, for a stop waits for them as long as it may.
    floods = FLOODS if url.startswith("https") else ()
    deaf = [asyncio.create_task(never_reads(url, flood)) for flood in floods]
    running = [asyncio.create_task(pipeline.run(url)) for pipeline in pipelines]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(pipeline.answers for pipeline in pipelines) < answers:  # noqa: ASYNC110 - a number tells nobody
                await asyncio.sleep(0.01)
            process.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*running)
            return await asyncio.to_thread(process.process.wait)
    finally:
        for task in (*running, *deaf):
            task.cancel()


@pytest.mark.parametrize("tls", [PLAIN, ENCRYPTED], ids=["plain", "tls"])
def test_a_stop_amid_pipelines_of_common_and_odd_requests(tmp_path: Path, tls: tuple[str, ...]) -> None:
    pipelines = [Pipeline(seed) for seed in range(8)]
    with running(tmp_path / "data", "--grace-stop", "12", *tls) as process:
        assert asyncio.run(stopped_amid(process, pipelines, 600)) == 0
        said = (tmp_path / "data.log").read_text()
        assert "cut short" not in said
        assert "Traceback" not in said
        stored: dict[str, list[int]] = defaultdict(list)
        for line in process.all_lines("events"):
            stored[line["key"]].append(line["value"]["event"]["playerTime"]["playhead"])
    for pipeline in pipelines:
        assert pipeline.wrong == []
        assert pipeline.torn == b""
        assert pipeline.acknowledged
        kept = stored[pipeline.sid][1:]  # behind its start
        assert kept == sorted(kept)
        assert set(pipeline.acknowledged) <= set(kept)
