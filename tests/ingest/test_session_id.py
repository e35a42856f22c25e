import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.session_id import SessionKeys
from schemas import session_ids

OLD, NEW, OTHER = (bytes([n]) * 32 for n in b"old"[:3])
TIMES = st.integers(min_value=0, max_value=(1 << 48) - 1)


@given(now=TIMES)
def test_a_minted_id_is_64_lowercase_hex_and_tells_when_it_was_made(now):
    keys = SessionKeys([OLD])
    sid = keys.mint(now)
    assert len(sid) == 64
    assert set(sid) <= set("0123456789abcdef")
    assert keys.verify(sid) == now == session_ids.created_at(sid)
    assert bytes.fromhex(sid)[:3] == bytes([session_ids.VERSION, 0, 0])


def test_two_ids_of_one_millisecond_differ():
    keys = SessionKeys([OLD])
    assert len({keys.mint(5) for _ in range(1000)}) == 1000


@given(now=TIMES, bit=st.integers(min_value=0, max_value=255))
def test_an_id_with_any_one_bit_changed_was_never_issued(now, bit):
    keys = SessionKeys([OLD])
    changed = int(keys.mint(now), 16) ^ (1 << bit)
    assert keys.verify(f"{changed:064x}") is None


@given(sid=st.one_of(st.text(max_size=80), st.binary(min_size=32, max_size=32).map(bytes.hex)))
def test_no_text_of_a_stranger_is_an_id(sid):
    assert SessionKeys([OLD]).verify(sid) is None


def test_an_id_in_capitals_was_never_issued():
    keys = SessionKeys([OLD])
    sid = keys.mint(1_760_000_000_000)
    assert keys.verify(sid.upper()) is None
    assert keys.verify(sid[:10] + " " + sid[11:]) is None


def test_the_first_secret_signs_and_all_verify():
    before = SessionKeys([OLD])
    appended = SessionKeys([OLD, NEW])
    moved = SessionKeys([NEW, OLD])
    after = SessionKeys([NEW])
    of_old, of_new = before.mint(7), moved.mint(7)
    assert appended.verify(of_old) == moved.verify(of_old) == 7
    assert appended.verify(of_new) == after.verify(of_new) == 7
    assert after.verify(of_old) is None
    assert before.verify(of_new) is None
    assert before.verify(appended.mint(9)) == 9


def test_another_deployment_does_not_know_our_ids():
    assert SessionKeys([OTHER]).verify(SessionKeys([OLD]).mint(7)) is None


@pytest.mark.parametrize("secrets", [[], [b"short"], [OLD, b"x" * 31]])
def test_no_secret_or_a_short_one_is_refused(secrets):
    with pytest.raises(ValueError, match="secret"):
        SessionKeys(secrets)
