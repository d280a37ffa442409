"""A frontier made up of a few texts, without a model or a database."""

from datetime import UTC, datetime

from adapters.methods import BASE, PPLM, Attribute, Method, Sampling
from benchmarks.sweeps.frontier_points import point, unsteered
from leaderboard.frontier import OURS, PAPER, Frontier, Goal
from leaderboard.records import AdapterCost, Prompt, PromptSet, Run, RunData, RunSpec, Sample, Tally

TEXTS = {  # method -> the text for each of two prompts
    0: ("a b c d", "a b c d"),
    1: ("e f g h", "i j k l"),
    2: ("a a a a", "a b a b"),
}


def data() -> RunData:
    steered = [Method(f"pplm:{name}", steering=PPLM((Attribute(name),))) for name in ("science", "space")]
    spec = RunSpec((BASE, *steered))
    prompts = PromptSet("two", (Prompt("one"), Prompt("two")))
    run = Run("0" * 32, datetime.now(UTC), spec, prompts, "model", {}, {}, "done", None)
    samples = tuple(
        Sample(prompt, method, 0, f"{method}{prompt}", 1, TEXTS[method][prompt], 4, "length")
        for prompt in range(2)
        for method in TEXTS
    )
    losses = {"00": -4.0, "01": -4.0, "10": -8.0, "11": -8.0, "20": -4.0, "21": -8.0}
    shown = {"science": {"10", "11", "00"}, "space": {"21"}}
    return RunData(
        run,
        samples,
        {"base": {key: Tally(total, 4) for key, total in losses.items()}}
        | {f"attribute:{n}": {key: Tally(float(key in keys), 1) for key in losses} for n, keys in shown.items()},
        {},
        (),
        (AdapterCost(0, 0),) * 3,
    )


def found(points: int = 1, name: str = "topics") -> Goal:
    """A goal of the made-up run, with some points of each algorithm."""
    strengths = [0.2 * (place + 1) for place in range(points)]
    steered = [point(data(), algorithm, value) for algorithm in (OURS, PAPER) for value in strengths]
    settings = {OURS: {"num_iterations": 1}, PAPER: {"num_iterations": 3}}
    return Goal(name, (("science",), ("space",)), settings, (unsteered(data()), *steered))


def frontier(*made: Goal) -> Frontier:
    sampling = Sampling(max_new_tokens=4)
    return Frontier(("python -m benchmarks frontier",), "tiny", "00", {"torch": "2"}, "two", 2, sampling, 7, made)
