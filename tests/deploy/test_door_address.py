import argparse
import socket

import pytest

from deploy.door_address import door_url, refuse_without_door
from deploy.failure import Failure


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://players.example/some/path", "http://[::1]:80"])
def test_an_address_is_taken_without_the_slash_at_its_end(url: str) -> None:
    assert door_url(url) == door_url(url + "/") == url


@pytest.mark.parametrize("url", ["", "nonsense", "127.0.0.1:8080", "ftp://x", "http://", "http://x:99999", "http://[x"])
def test_what_is_no_address_is_bad_usage(url: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no address like http"):
        door_url(url)


def test_addresses_at_which_nobody_listens_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refuse_without_door(["http://127.0.0.1:1", free], 0)
    with pytest.raises(Failure, match=rf"{free} \(Connection refused\): .*--url"):
        refuse_without_door([free], 0)
