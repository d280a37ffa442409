"""A replay of a run as a generator of messages: how far it is, and then whether every text is the same.

Knows runs and their differences; knows nothing of Gradio. Closing the generator stops the replay.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from adapters.methods import UserError
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.load import find_run
from demo.parts import words as text
from demo.parts.running import changed, closed_at_end
from demo.services import Services
from leaderboard.records import Run
from leaderboard.runs.runner import Replay

SHOWN = 5  # differences that are told one by one


class Message(NamedTuple):
    """What a person reads."""

    words: str
    is_error: bool = False


def replay_run(services: Services, id: Any) -> Iterator[Message]:
    """Writes a run again; the last message is the verdict."""
    try:
        run = find_run(services, id)
        last: Replay | None = None
        with closed_at_end(services.runner.replay(run.id)) as steps:
            for last in steps:
                yield Message(words_leaderboard.REPLAYING_RUN.format(done=last.done, total=last.total))
        if last is not None:
            yield verdict(services, run, last)
    except UserError as error:
        yield Message(text.CANNOT_REPLAY.format(reason=error), is_error=True)
    except Exception:
        yield Message(text.SERVER_ERROR, is_error=True)
        raise


def verdict(services: Services, run: Run, replay: Replay) -> Message:
    """Identical, or the first tokens that differ; and what has changed since."""
    differences = replay.differences
    lines = [text.replayed(replay.done - len(differences), replay.done)]
    lines += [
        words_leaderboard.RUN_DIFFERS.format(method=method, prompt=prompt + 1, draw=draw + 1, token=token)
        for method, prompt, draw, token in differences[:SHOWN]
    ]
    if len(differences) > SHOWN:
        lines.append(words_leaderboard.AND_MORE.format(number=len(differences) - SHOWN))
    return Message(" ".join([*lines, *changed(services, run.spec.methods, run.hashes, run.versions)]))
