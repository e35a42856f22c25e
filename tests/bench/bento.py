"""Bento as the peer: the program, built once into a cache of this user, and its configuration for the same work."""

import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

from schemas.events import EventType

VERSION = "v1.20.0"
BUILD_SECONDS = 600
_MODULE = "github.com/warpstreamlabs/bento"
_MAIN = f"""package main

import (
	"context"

	_ "{_MODULE}/public/components/io"
	_ "{_MODULE}/public/components/kafka"
	_ "{_MODULE}/public/components/pure"
	"{_MODULE}/public/service"
)

func main() {{ service.RunCLI(context.Background()) }}
"""


def program() -> Path | str:
    """The built program; or, in words, why there is none."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediabeat-bench" / f"bento-{VERSION}"
    built = folder / "bento"
    if built.exists():
        return built
    go = shutil.which("go")
    if go is None:
        return "Bento is left out: go is not installed, and its program is not in the cache"
    print(f"building Bento {VERSION} into {folder}: once, some two minutes", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.go").write_text(_MAIN)
    try:
        for arguments in (
            ["mod", "init", "bench"],
            ["get", f"{_MODULE}@{VERSION}"],
            ["mod", "tidy"],
            ["build", "-o", "bento.new", "."],
        ):
            if arguments[:2] == ["mod", "init"] and (folder / "go.mod").exists():
                continue
            subprocess.run(
                [go, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS
            )
    except subprocess.CalledProcessError as failure:
        return f"Bento is left out: go {' '.join(failure.cmd[1:3])} failed: {failure.stderr.strip()[-300:]}"
    except subprocess.TimeoutExpired as slow:
        return f"Bento is left out: go {' '.join(slow.cmd[1:3])} took longer than {BUILD_SECONDS} s"
    (folder / "bento.new").rename(built)
    return built


def configuration(bootstrap: str, topic: str, port: int) -> str:
    """Validate by event type, append with acks=all in batches of 2 ms (its better figure), answer when durable."""
    schemas = resources.files("schemas").joinpath("json")
    cases = "".join(
        f"""      - check: this.eventType == "{name}"
        processors: [{{ json_schema: {{ schema_path: "file://{schemas.joinpath(f"{name}.json")}" }} }}]
"""
        for name in EventType
    )
    return f"""http: {{ address: "127.0.0.1:{port}", enabled: true }}
logger: {{ level: ERROR }}
metrics: {{ none: {{}} }}
input:
  http_server: {{ path: "/api/v1/sessions/{{sid}}/events", timeout: 5s }}
pipeline:
  processors:
    - switch:
{cases}output:
  switch:
    cases:
      - check: errored()
        output: {{ reject: "${{! error() }}" }}
      - output:
          kafka_franz:
            seed_brokers: ["{bootstrap}"]
            topic: {topic}
            key: "${{! @sid }}"
            compression: none
            max_in_flight: 256
            batching: {{ period: 2ms, count: 500 }}
"""
