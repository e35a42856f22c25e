from schemas.events import EventType

OVERVIEW = (
    "sessionStart play ping pauseStart bufferStart adBreakStart adBreakComplete adStart adComplete adSkip "
    "chapterStart chapterComplete chapterSkip sessionComplete sessionEnd"
)
BESIDE = "bitrateChange error stateStart stateEnd statesUpdate"


def test_the_types_are_the_fifteen_of_the_overview_and_five_more() -> None:
    assert [str(event_type) for event_type in EventType] == [*OVERVIEW.split(), *BESIDE.split()]
