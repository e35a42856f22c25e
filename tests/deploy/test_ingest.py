from deploy.commands.ingest import settings_of_door
from deploy.settings import load
from ingest.roundware.numbers import DOORS


def test_doors_that_share_a_port_number_for_roundware_one_after_the_other() -> None:
    given = load({"ROUNDWARE_DOOR": "61"}, {})

    assert [settings_of_door(given, number).roundware_door for number in range(5)] == [61, 62, 63, 0, 1]
    assert len({settings_of_door(given, number).roundware_door for number in range(DOORS)}) == DOORS


def test_doors_take_a_number_by_chance_where_none_was_given() -> None:
    given = load({}, {})

    assert settings_of_door(given, 3) == given
