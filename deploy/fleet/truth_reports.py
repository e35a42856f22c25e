"""The expected rows of one session, each with its revision: a second reading of topics.md 3 on what goes out again."""

from deploy.fleet.expectation import differences, plain
from deploy.fleet.outcome import Expected
from deploy.fleet.truth_rows import Document, Moment, row
from deploy.fleet.truth_story import Story
from deploy.fleet.truth_subjects import Note


class Reports:
    """`rows`: all that were to go out so far, in their order."""

    def __init__(self) -> None:
        self.rows: list[Expected] = []
        self._closing: Document | None = None
        self._chapter_ms: dict[int, int] = {}

    @property
    def has_closed(self) -> bool:
        """Whether a close row stands."""
        return self._closing is not None

    def emit(self, story: Story, notes: list[Note], moment: Moment) -> None:
        """Make the rows noted down, as the story stands now."""
        for note in notes:
            document = row(story, note, moment)
            optional = False
            if note.kind == "session-close":
                numbers = _numbers(document)
                if plain(numbers) == self._closing:
                    continue  # sessionEnd, pings and expiry alone revise nothing
                optional = self._closing is not None and not any(differences(numbers, self._closing))
                self._closing = plain(numbers)
            instance = note.subject.instance if note.subject else 1
            revision = sum(known.kind == note.kind and known.instance == instance for known in self.rows)
            document["_id"] = f"{story.start.sid}:{note.kind}:{instance}:{revision}"
            document["mediabeat"]["revision"] = revision
            self.rows.append(Expected(note.kind, instance, revision, document, optional))
            if note.kind == "chapter-close":
                self._chapter_ms[instance] = document["mediabeat"]["extras"]["contentMs"]

    def revise_chapters(self, story: Story, moment: Moment) -> None:
        """A stall found after chapterComplete takes its time back out of that chapter."""
        for chapter in story.chapters:
            known = self._chapter_ms.get(chapter.instance)
            if chapter.reason is not None and known not in (None, _chapter_ms(story, chapter.instance)):
                self.emit(story, [Note("chapter-close", chapter, chapter.reason)], moment)

    def emit_part(self, story: Story, notes: list[Note], moment: Moment) -> None:
        """Make the rows of a batch that broke off: a close row that says so goes out again when the rest has come."""
        before = len(self.rows)
        self.emit(story, notes, moment)
        if any(one.kind == "session-close" for one in self.rows[before:]):
            self._closing = None


def _chapter_ms(story: Story, instance: int) -> int:
    return story.timeline.sum_ms("content", chapter=instance)


def _numbers(document: Document) -> Document:
    """What a replay can change in a session-close: all of it but when and by which record it was made."""
    reporting = dict(document["mediaReporting"])
    reporting["sessionDetails"] = {
        key: value for key, value in reporting["sessionDetails"].items() if key != "secondsSinceLastCall"
    }
    return {"reporting": reporting, "extras": document["mediabeat"]["extras"]}
