import stat
from pathlib import Path

import pytest

from deploy.failure import Failure
from deploy.secret_file import FILE_NAME, keep_secret
from ingest.session_id import SessionKeys


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    made = keep_secret(tmp_path)

    assert keep_secret(tmp_path) == made
    assert SessionKeys(keep_secret(tmp_path)).verify(SessionKeys(made).mint(1)) == 1


def test_two_directories_have_two_secrets(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    assert keep_secret(tmp_path) != keep_secret(tmp_path / "other")


def test_the_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    keep_secret(tmp_path)

    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_the_kept_secret_may_be_rotated_by_hand(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("n" * 32 + "," + "o" * 32 + "\n")

    assert keep_secret(tmp_path) == (b"n" * 32, b"o" * 32)


def test_a_secret_that_is_missed_is_made_anew_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep_secret(tmp_path)
    keep_secret(tmp_path, is_missed=True)
    assert caplog.messages == []

    (tmp_path / FILE_NAME).unlink()
    keep_secret(tmp_path, is_missed=True)
    assert f"{tmp_path / FILE_NAME} is gone" in caplog.messages[0]


def test_a_secret_cut_short_is_not_used(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("short")

    with pytest.raises(Failure, match="MEDIABEAT_SECRET"):
        keep_secret(tmp_path)


def test_a_start_that_died_while_making_it_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_text("half")

    assert len(keep_secret(tmp_path)[0]) == 64
