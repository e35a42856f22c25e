"""What of aiokafka still runs in this loop."""

import asyncio
import inspect


def left_behind() -> list[object]:
    """Tasks of aiokafka that still run."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return [one for one in coroutines if inspect.iscoroutine(one) and "aiokafka" in one.cr_code.co_filename]
