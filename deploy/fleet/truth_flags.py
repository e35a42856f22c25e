"""Which of the flags topics.md names a row must carry or must not; flags it does not name are the writer's."""

from typing import Any

from deploy.fleet.expectation import Among
from deploy.fleet.truth_story import Story

NAMED = frozenset({"unclosedBreak", "clockSkew", "truncated", "incompleteBatch", "noEvents"})


def flags_of(story: Story, kind: str, *, out_of_years: bool) -> Any:
    required = set(story.flags)
    if out_of_years:
        required.add("clockSkew")
    if kind == "session-close":
        if story.folded == 0:
            required.add("noEvents")
        return Among(frozenset(required), NAMED - required)
    # Flags are named for sessions: other rows may repeat what was known when they were made.
    may_stand = required | {"noEvents", "unclosedBreak", "clockSkew"}
    return Among(frozenset({"clockSkew"}) if out_of_years else frozenset(), NAMED - may_stand)
