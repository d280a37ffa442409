"""A training, followed until it has ended and its adapter is offered."""

import time
from collections.abc import Iterator

from adapters.training.queue import POLL_SECONDS, JobView, Trainer


def watch(trainer: Trainer, id: str) -> Iterator[JobView]:
    """The job at each change."""
    before = None
    while True:
        about_to_be_offered = id in trainer._open and trainer._attending is not None
        view = trainer._view(id, trainer._queue())
        if view != before and not (view.now.ended and about_to_be_offered):
            yield view
            before = view
            if view.now.ended:
                return
        time.sleep(POLL_SECONDS)
