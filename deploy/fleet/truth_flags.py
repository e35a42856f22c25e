"""Which flags a row must carry or must not: a second reading of topics.md 3 and of the flags in docs/reports.md."""

from typing import Any

from deploy.fleet.expectation import Among
from deploy.fleet.truth_story import Story

NAMED = frozenset(
    {
        "unclosedBreak",
        "clockSkew",
        "truncated",
        "incompleteBatch",
        "noEvents",
        "longGap",
        "ignoredAd",
        "inferredPlay",
        "bitrateBps",
        "openState",
    }
)


def flags_of(story: Story, kind: str, *, out_of_years: bool) -> Any:
    required = set(story.flags) | ({"bitrateBps"} if story.quality.is_bps else set())
    if out_of_years:
        required.add("clockSkew")
    if kind == "session-close":
        if story.folded == 0:
            required.add("noEvents")
        if story.states.any_on():
            required.add("openState")
        return Among(frozenset(required), NAMED - required)
    # Flags are named for sessions: other rows may repeat what was known when they were made.
    may_stand = required | {"noEvents", "unclosedBreak", "clockSkew"}
    return Among(frozenset({"clockSkew"}) if out_of_years else frozenset(), NAMED - may_stand)
