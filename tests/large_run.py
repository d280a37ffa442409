"""A run of 500 prompts, 6 methods and 3 texts, put directly into a database: how large a run may be."""

import random
import secrets
from datetime import UTC, datetime

from adapters.methods import parse_method
from leaderboard.records import AdapterCost, Prompt, PromptSet, Run, RunSpec, Sample, Tally, Timing, Trace, Written
from leaderboard.store.database import Database

NAMES = ["base", "lora:poetry", "prefix:facts", "pplm:science", "lora:poetry+pplm:science", "lora:scifi"]
WORDS = ["the", "river", "light", "and", "under", "quiet", "old", "road", "garden", "was", "science", "research"]
TOKENS = 60


def large_run(url: str) -> str:
    """Stores the run; returns its id."""
    database, draw = Database(url), random.Random(1)
    spec = RunSpec(tuple(map(parse_method, NAMES)), samples=3)
    run = Run(
        id=secrets.token_hex(16),
        created=datetime.now(UTC),
        spec=spec,
        prompts=PromptSet("large", tuple(prompt(draw, place) for place in range(500))),
        base="SmolLM2-135M-Instruct-Q4_1",
        hashes={"base": "0" * 64},
        versions={"torch": "2.13.0"},
        status="stopped",
        owner=None,
    )
    scorers = {label: f"{number:064x}" for number, label in enumerate([*spec.scorers, "attribute:science"])}
    database.add_run(run, [AdapterCost(0, 0)] * len(NAMES), scorers)
    for place in range(len(run.prompts.prompts)):
        written = [text(run, draw, scorers["base"], place, m, d) for m in range(len(NAMES)) for d in range(3)]
        database.keep(run.id, written, Timing(place % len(NAMES), place, 3 * TOKENS, 1.0, 10**9))
        for label, scorer in scorers.items():
            database.keep_tallies(scorer, {each.sample.key: tally(draw, label) for each in written})
    database.set_status(run.id, "done")
    return run.id


def prompt(draw: random.Random, place: int) -> Prompt:
    tags = (("genre", draw.choice(["essay", "story", "question"])),)
    return Prompt(f"{' '.join(draw.choices(WORDS, k=8))} {place}", tags=tags)


def text(run: Run, draw: random.Random, scorer: str, place: int, method: int, number: int) -> Written:
    """One text, known already to the base."""
    seed = run.spec.sample_seed(run.prompts.prompts[place].prompt, number)
    words = " " + " ".join(draw.choices(WORDS, k=45))
    sample = Sample(place, method, number, secrets.token_hex(32), seed, words, TOKENS, "length")
    trace = Trace((1, 2), tuple(range(TOKENS)), (-2.0,) * TOKENS)
    return Written(sample, trace, scorer, tally(draw, "base"))


def tally(draw: random.Random, label: str) -> Tally:
    if label.startswith("attribute:"):
        return Tally(float(draw.random() > 0.5), 1)
    return Tally(-draw.uniform(1.5, 3.0) * TOKENS, TOKENS)
