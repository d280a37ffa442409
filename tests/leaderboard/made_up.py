"""Runs made up of given texts, without a model or a database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from adapters.methods import BASE, PPLM, Attribute, Method
from leaderboard.metrics.metric import Setting
from leaderboard.records import AdapterCost, Prompt, PromptSet, Run, RunData, RunSpec, Sample, Tally, Timing

LORA, PREFIX = Method("lora:poetry", lora="poetry"), Method("prefix:facts", prefix="facts")
STEERED = Method("pplm:science", steering=PPLM((Attribute("science"),)))


def made_up(
    texts: Mapping[Method, Sequence[Sequence[str | None]]],
    prompts: Sequence[Prompt] | None = None,
    tallies: Mapping[str, Mapping[str, Tally]] | None = None,
    timings: Sequence[Timing] = (),
    prompt_tallies: Mapping[tuple[str, str], Mapping[int, Tally]] | None = None,
) -> RunData:
    """The data of a run in which each method wrote texts[method][prompt][draw]; None: not yet written.

    A text's key is `method prompt draw`, by place; a text that is "DIVERGED" diverged.
    """
    methods = tuple(texts)
    num_prompts = max(len(of) for of in texts.values())
    prompts = prompts or [Prompt(f"prompt {place}") for place in range(num_prompts)]
    samples = [
        Sample(
            place, number, draw, f"{number} {place} {draw}", 0, text, len(text.split()) + 1,
            "diverged" if text == "DIVERGED" else "length",
        )
        for number, method in enumerate(methods)
        for place, of in enumerate(texts[method])
        for draw, text in enumerate(of)
        if text is not None
    ]  # fmt: skip
    spec = RunSpec(methods, samples=max((len(of) for of in texts[methods[0]]), default=1) or 1)
    run = Run(
        "0" * 32,
        datetime(2026, 11, 22, tzinfo=UTC),
        spec,
        PromptSet("set", tuple(prompts)),
        "tiny",
        {},
        {},
        "done",
        None,
    )
    costs = tuple(AdapterCost(0, 0) if method == BASE else AdapterCost(1_000, 4_096) for method in methods)
    return RunData(run, tuple(samples), tallies or {}, prompt_tallies or {}, tuple(timings), costs)


SETTING = Setting("base", "tiny, unchanged", {"science": True, "military": False, "space": None}, "n", "cut")
