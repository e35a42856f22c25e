"""Who asks, told from a token alone where it can be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.roundware.configuration import Configuration, IssuedToken
from ingest.roundware.refusals import Refusal
from ingest.roundware.tokens import Caller, Gate, TokenKeys, user_of, username_of
from schemas.roundware import NUMBER_MAX
from schemas.roundware_doors import User

SECRET, OTHER = b"s" * 32, b"o" * 32
KEYS = TokenKeys((SECRET,))
USER = user_of("phone")
TOKEN = KEYS.mint(USER)
KNOWN = User(USER, "phone", "iPhone", TOKEN)
ISSUED = IssuedToken("4ee0fc210823c2c2f72f06e3fe862c0f6740d3b4", "12891038109281", "iPhone")


def gate(configuration: Configuration | None = None, *known: User, secrets: tuple[bytes, ...] = (SECRET,)) -> Gate:
    return Gate(TokenKeys(secrets), configuration or Configuration(), {user.id: user for user in known}.get)


@given(st.text(min_size=1, max_size=255))
def test_a_device_is_one_user_with_one_token_that_every_door_knows(device: str) -> None:
    user = user_of(device)
    token = TokenKeys((SECRET,)).mint(user)

    assert user == user_of(device)
    assert 2 < user <= NUMBER_MAX
    assert re.fullmatch("[0-9a-f]{40}", token)
    assert KEYS.verify(token) == user
    assert username_of(device)[10:] == device[-4:]
    assert re.fullmatch("[0-9]{10}", username_of(device)[:10], re.ASCII)


@given(st.integers(0, 159))
def test_a_token_with_a_changed_bit_is_nobodys(bit: int) -> None:
    changed = f"{int(TOKEN, 16) ^ (1 << bit):040x}"

    assert KEYS.verify(changed) is None


@pytest.mark.parametrize(
    "token",
    ["", "x", TOKEN.upper() if TOKEN.upper() != TOKEN else "A" * 40, TOKEN + "0", TOKEN[:-1], "é" * 40, "0" * 40],
)
def test_what_is_no_token_of_ours_is_nobodys(token: str) -> None:
    assert KEYS.verify(token) is None
    with pytest.raises(Refusal, match="Invalid token"):
        gate().caller(f"token {token}" if token else "token  \x00")


def test_a_door_that_knows_nothing_of_a_user_lets_it_in_all_the_same() -> None:
    assert gate().caller(f"Token {TOKEN}") == Caller(USER, None, None)


def test_a_door_that_knows_the_user_knows_its_device() -> None:
    assert gate(None, KNOWN).caller(f"token {TOKEN}") == Caller(USER, "phone", "iPhone")


def test_a_token_outlives_a_new_secret_in_front_of_its_own() -> None:
    assert gate(secrets=(OTHER, SECRET)).caller(f"token {TOKEN}").user == USER


def test_a_token_outlives_its_secret_where_its_user_is_known() -> None:
    assert gate(None, KNOWN, secrets=(OTHER,)).caller(f"token {TOKEN}").user == USER
    with pytest.raises(Refusal, match="Invalid token"):
        gate(secrets=(OTHER,)).caller(f"token {TOKEN}")


def test_a_device_keeps_the_token_it_was_given_first() -> None:
    assert gate(secrets=(OTHER, SECRET)).registered(KNOWN).token == TOKEN
    assert gate(secrets=(OTHER, SECRET)).registered(KNOWN._replace(token="")).token != TOKEN


def test_a_token_issued_elsewhere_is_as_good_as_ours() -> None:
    configured = gate(Configuration(tokens={ISSUED.token: ISSUED}))

    assert configured.caller(f"token {ISSUED.token}") == Caller(user_of(ISSUED.device_id), ISSUED.device_id, "iPhone")
    again = configured.registered(User(user_of(ISSUED.device_id), ISSUED.device_id, "phone", ""))
    assert (again.token, again.client_type) == (ISSUED.token, "iPhone")


@pytest.mark.parametrize(
    "revoked",
    [Configuration(revoked_tokens=frozenset({TOKEN})), Configuration(revoked_devices=frozenset({"phone"}))],
)
def test_a_revoked_token_lets_nobody_in(revoked: Configuration) -> None:
    with pytest.raises(Refusal) as refused:
        gate(revoked, KNOWN).caller(f"token {TOKEN}")

    assert refused.value.document == {"detail": "User inactive or deleted."}
    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": "Token"})


@pytest.mark.parametrize("header", [None, "", " ", "Bearer x", "token", "token a b", "token\t" + TOKEN + " x"])
def test_any_other_header_is_401(header: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        gate().caller(header)

    assert refused.value.status == 401


def test_secrets_of_tokens_and_of_other_things_are_apart() -> None:
    assert TokenKeys((SECRET,)).mint(7) != TokenKeys((OTHER,)).mint(7)
