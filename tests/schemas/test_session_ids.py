from hypothesis import given
from hypothesis import strategies as st

from schemas import session_ids


@given(st.binary(min_size=3, max_size=3), st.integers(0, 2**48 - 1), st.binary(min_size=23, max_size=23))
def test_an_id_tells_when_it_was_made(before: bytes, created_at: int, after: bytes) -> None:
    sid = (before + created_at.to_bytes(6, "big") + after).hex()
    assert len(sid) == session_ids.HEX_LENGTH
    assert session_ids.created_at(sid) == created_at


def test_the_parts_of_an_id_fill_it() -> None:
    assert session_ids.SIGNED_BYTES + session_ids.MAC_BYTES == session_ids.ID_BYTES
    assert 2 * session_ids.ID_BYTES == session_ids.HEX_LENGTH
