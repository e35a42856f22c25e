"""What a worker has done, in plain integers: lanes add at their commits, `deploy/telemetry.py` reads when scraped."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """Totals of one worker process since it started, and what is so at this moment.

    Only committed work is counted, so that the totals reconcile at any time:
    `consumed` + what waited when the lanes were restored = `folded` + `duplicates` + sum of `rejected` + `waiting`.
    """

    consumed: int = 0
    """Records of committed batches."""
    folded: int = 0
    """Events a session has taken in."""
    duplicates: int = 0
    """Records that changed nothing: repeats of an event, or of an offline batch's element."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Records sent to the rejects topic, by code."""
    rows: Counter[str] = field(default_factory=Counter)
    """Report rows written, by kind."""
    opened: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    """Sessions closed, by reason."""
    expiries: int = 0
    """Deadlines that came due: timeouts, caps, and events that left the reorder window by the clock."""
    poisoned: int = 0
    """Times the machine raised on a record or on an expiry."""
    muted: int = 0
    """Sessions muted, for having no content id or for raising three times."""
    commits: int = 0
    fences: int = 0
    """Times a successor was found to own a lane."""
    restores: int = 0
    """Tables read from the state topic."""
    unknown_outcomes: int = 0
    """Transactions of which the log did not say whether they held."""
    log_failures: int = 0
    """Times a lane was opened anew because the log did not answer."""

    open_sessions: dict[int, int] = field(default_factory=dict)
    """Sessions now open, by partition."""
    open_visits: dict[int, int] = field(default_factory=dict)
    """Visits of Roundware sessions now open, by partition."""
    waiting: dict[int, int] = field(default_factory=dict)
    """Events now in a reorder window, by partition."""
    warm_drafts: dict[int, int] = field(default_factory=dict)
    """Sessions kept unpacked for their next event, by partition."""
    lag_records: dict[int, int] = field(default_factory=dict)
    """Records on the log that are not committed yet, as last seen; asked anew once a second while a lane lags."""
    lag_seconds: dict[int, float] = field(default_factory=dict)
    """Age of the newest committed record while records follow it; 0 on a caught-up lane. By partition."""

    def forget_partition(self, partition: int) -> None:
        """This worker no longer owns the partition."""
        for gauge in (self.open_sessions, self.open_visits, self.waiting, self.lag_records, self.lag_seconds):
            gauge.pop(partition, None)
