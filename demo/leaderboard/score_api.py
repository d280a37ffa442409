"""The public endpoint /score: a run of the leaderboard for programs; every argument is checked again."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import orjson

from adapters.decoding.visitors import TOKENS
from adapters.methods import Sampling, UserError, from_json, parse_method, to_json
from demo.parts.links import RUN, address, new_secret, owner_of
from demo.parts.numbers import if_finite
from demo.parts.running import closed_at_end, work_of_run
from demo.parts.uploads import read_names
from demo.services import Services
from leaderboard.prompts import read_prompts
from leaderboard.records import MAX_METHODS, PromptSet, RunSpec
from leaderboard.tables.results import Cell


def score_endpoint(services: Services) -> Callable[..., Iterator[dict[str, Any]]]:
    """The function behind /score for these services."""

    def score(
        prompts: list[str],
        methods: list[str],
        samples: int = 1,
        temperature: float = Sampling.temperature,
        top_p: float = Sampling.top_p,
        max_new_tokens: int = Sampling.max_new_tokens,
        seed: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Continue prompts by several methods, and score their texts: perplexity, diversity, repetition, speed.

        Methods are named as /methods lists them. Each answer has the state, and how many tokens of how many are done;
        the last one also has the link of the run and its table: metric -> method -> value, with the ends of its 95 %
        interval (low, high) and its difference to base, which is clear if it is larger than the bound (null: there is
        none).
        """
        try:
            chosen = [to_json(parse_method(name)) for name in read_names(methods, MAX_METHODS)]
            sampling = {"temperature": temperature, "top_p": top_p, "max_new_tokens": max_new_tokens}
            spec = {"methods": chosen, "samples": samples, "sampling": sampling, "seed": seed}
            rows = [orjson.dumps({"prompt": prompt}) for prompt in (prompts if isinstance(prompts, list) else [])]
            asked = read_prompts(b"\n".join(rows), "program.jsonl", services.limits)
            yield from run_as_json(services, from_json(RunSpec, spec), asked)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return score


def run_as_json(services: Services, spec: RunSpec, prompts: PromptSet) -> Iterator[dict[str, Any]]:
    """A new run, as far as it is, then its table. Raises UserError."""
    with services.allowance.spend(TOKENS, work_of_run(spec, prompts)):
        run = services.runner.add(spec, prompts, owner_of(new_secret()))
    try:
        with closed_at_end(services.runner.run(run.id)) as steps:
            for step in steps:
                if step.phase != "done":
                    yield {"state": step.phase, "done": step.done, "total": step.total}
    except BaseException:  # nobody could resume it
        services.runner.delete(run.id, run.owner)
        raise
    cells = services.runner.results(run.id).cells
    table = {metric: {name: as_json(cell) for name, cell in column.items()} for metric, column in cells.items()}
    yield {"state": "done", "done": step.total, "total": step.total, "run": address(RUN, run.id), "table": table}


def as_json(cell: Cell) -> dict[str, float | None]:
    return {name: if_finite(value) for name, value in cell._asdict().items()}
