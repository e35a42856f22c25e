"""Which of many addresses is to blame when a cluster does not let us in."""

import asyncio

import pytest

from deploy import kafka_refusal
from deploy.kafka_refusal import Refusal

ARGUMENTS = {"security_protocol": "PLAINTEXT", "sasl_mechanism": "PLAIN"}


class Addresses:
    """What is found at each: the nodes that it names, or what is wrong there; silence where nothing is said."""

    def __init__(self, **found: "list[tuple[str, int]] | str") -> None:
        self._found = found

    async def asked(self, host: str, *_: object) -> "tuple[list[tuple[str, int]] | None, str]":
        found = self._found.get(host)
        if found is None:
            await asyncio.sleep(3600)
        return (None, found) if isinstance(found, str) else (found, "")


async def why(monkeypatch: pytest.MonkeyPatch, bootstrap: str, addresses: Addresses) -> Refusal | None:
    monkeypatch.setattr(kafka_refusal, "_asked", addresses.asked)
    monkeypatch.setattr(kafka_refusal, "LOOK_SECONDS", 0.05)
    return await kafka_refusal.why(bootstrap, ARGUMENTS)


async def test_the_only_address_is_not_named_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await why(monkeypatch, "one:1", Addresses(one="it is odd")) == Refusal("it is odd")


async def test_of_several_addresses_the_first_is_named_if_none_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await why(monkeypatch, "one:1,two:2", Addresses(one="it is odd", two="no")) == Refusal("one:1: it is odd")


async def test_silence_is_said_and_does_not_hide_what_was_heard_before(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await why(monkeypatch, "silent:1", Addresses()) == Refusal("it does not answer")
    assert await why(monkeypatch, "one:1,silent:2", Addresses(one="it is odd")) == Refusal("one:1: it is odd")


async def test_one_address_that_answers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Addresses(one="it is odd", two=[("two", 2)])
    assert await why(monkeypatch, "one:1,two:2", found) is None


async def test_a_node_that_the_cluster_names_by_an_address_of_no_use_to_us_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Addresses(one=[("one", 1), ("inside", 9)], inside="it cannot be reached (unknown host)")
    said = await why(monkeypatch, "one:1", found)
    assert said is not None
    assert said.by_a_node
    assert "inside:9" in said.reason
    assert "advertised.listeners" in said.reason
    assert "unknown host" in said.reason
    silent = await why(monkeypatch, "one:1", Addresses(one=[("one", 1), ("silent", 9)]))
    assert silent == Refusal("a node of it does not answer", by_a_node=True)


async def test_nobody_at_an_address_takes_no_connection() -> None:
    assert await kafka_refusal.why("127.0.0.1:1", ARGUMENTS) == Refusal("it takes no connection")
