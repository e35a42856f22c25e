import pytest

from ingest.peers import shown_peer


@pytest.mark.parametrize(
    ("address", "truncated"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("", None),
        (None, None),
        ("a unix socket", None),
    ],
)
def test_a_truncated_address_is_that_of_its_network(address, truncated):
    assert shown_peer(address, "truncated") == truncated


def test_full_keeps_the_address_and_none_keeps_nothing():
    assert shown_peer("2001:db8::1", "full") == "2001:db8::1"
    assert shown_peer("::ffff:203.0.113.77", "full") == "203.0.113.77"
    assert shown_peer("203.0.113.77", "none") is None
