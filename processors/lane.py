"""THE loop of one partition: read, fold, write rows, state and offset in one transaction."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """How a lane paces itself. Times in the unit the name says."""

    commit_interval_seconds: float = 0.1
    append_bound_ms: int = 3_000
    """How long a door may take from stamping a record to its place on the log: the lane's clock trails by this."""
    read_records: int = 1_500
    """Records asked of the log at once."""
    batch_records: int = 6_000
    """A transaction is committed before its interval when this many records wait, or `batch_bytes`."""
    batch_bytes: int = 8 * 1024 * 1024
    turn_records: int = 250
    """Records folded before other tasks get the loop."""
    idle_seconds: float = 1.0
    """How long one read waits for records."""
    backoff_seconds: float = 0.1
    """First wait before a lane is opened again; doubles up to `backoff_limit_seconds`."""
    backoff_limit_seconds: float = 5.0
    poisoned_sessions_a_minute: int = 20
    """More distinct sessions than this raising within a minute stop the worker: then it is our bug."""
