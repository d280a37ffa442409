"""What a run is and what it leaves, as frozen data.

Knows names, numbers and places; knows nothing of models, databases or metrics. A run's samples stand in the order
prompt, method, draw: "place" is a position in the prompt set or in the run's methods, from 0.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from adapters.decoding.likelihood import perplexity_of
from adapters.methods import BASE, STRICT, Method, Sampling


@dataclass(frozen=True, config=STRICT)
class Prompt:
    """One row of a prompt set; `tags` are the columns that mean nothing to the app, kept to slice by."""

    prompt: Annotated[str, Field(min_length=1)]
    reference: str | None = None
    id: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, config=STRICT)
class PromptSet:
    """Prompts that are scored together, in the order of their file."""

    name: str
    prompts: Annotated[tuple[Prompt, ...], Field(min_length=1)]

    @property
    def has_references(self) -> bool:
        return any(prompt.reference is not None for prompt in self.prompts)

    @property
    def duplicates(self) -> int:
        """How many prompts stand there more often than once, counted from the second time on."""
        return len(self.prompts) - len(Counter(prompt.prompt for prompt in self.prompts))


@dataclass(frozen=True, config=STRICT)
class RunSpec:
    """Everything that a person sets for a run, beside the prompts."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=12)]
    samples: Annotated[int, Field(ge=1, le=50)] = 1  # texts for each prompt by each method
    sampling: Sampling = Sampling()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    judge: str | None = None  # Hub id or folder of the language model that scores; None: the unadapted base
    chat: bool = False

    @model_validator(mode="after")
    def names_differ(self) -> "RunSpec":
        if len({method.name for method in self.methods}) < len(self.methods):
            raise ValueError("Two methods have the same name: choose each once.")
        return self

    def sample_seed(self, prompt: str, draw: int) -> int:
        """The seed of one sample: the same for every method, another for every prompt and draw."""
        digest = hashlib.sha256(f"{self.seed} {draw} {prompt}".encode()).digest()
        return int.from_bytes(digest[:4])

    @property
    def scorers(self) -> dict[str, Method]:
        """The unsteered methods of a run by label, the base first; each scores the texts of all methods."""
        scorers = {BASE.name: BASE}
        known = {BASE}
        for method in self.methods:
            unsteered = replace(method, name="", steering=None)
            if (plain := replace(unsteered, name=unsteered_name(method))) not in known:
                known.add(plain)
                scorers[plain.name] = plain
        return scorers

    @property
    def judge_label(self) -> str:
        """The scorer whose perplexity heads the table: a label of `scorers`, or `judge:` and the judge's id."""
        return BASE.name if self.judge is None else f"judge:{self.judge}"


def unsteered_name(method: Method) -> str:
    """The short name of a method without its steering: `base`, `lora:poetry`, `lora:poetry*0.5+prefix:facts`."""
    parts = []
    if method.lora is not None:
        parts.append(f"lora:{method.lora}" + (f"*{method.lora_scale:g}" if method.lora_scale != 1 else ""))
    if method.prefix is not None:
        parts.append(f"prefix:{method.prefix}")
    return "+".join(parts) or BASE.name


class Run(NamedTuple):
    """A run as the database keeps it."""

    id: str  # 128 random bits, in hex: whoever knows it can see the run
    created: datetime  # UTC
    spec: RunSpec
    prompts: PromptSet
    base: str  # id of the base model
    hashes: Mapping[str, str]  # sha256 of the base model and of each adapter and word list that the run uses
    versions: Mapping[str, str]  # of the libraries, Python and the machine
    status: str  # "running", "stopped", "failed" or "done"
    owner: str | None  # hash of the owner's secret; None: made on the command line


class Sample(NamedTuple):
    """One text of a run."""

    prompt: int  # place in the prompt set
    method: int  # place in the run's methods
    draw: int  # which of the texts for this prompt by this method
    key: str  # sha256 of everything that determines the text
    seed: int
    text: str  # the continuation, without special tokens
    num_tokens: int  # the end token included
    finish_reason: str  # "eos", "length" or "diverged"


class Trace(NamedTuple):
    """The tokens of one sample."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, under the sample's method without its steering


class Tally(NamedTuple):
    """A sufficient statistic of one text: a sum, and over how many things it goes."""

    total: float
    number: int

    @property
    def perplexity(self) -> float:
        """exp of the mean loss, where the sum is of log-probabilities in nats; NaN for none."""
        return perplexity_of(self.total, self.number)


class Timing(NamedTuple):
    """What one batch of a method took, in this run: `num_tokens` new tokens in `seconds`."""

    method: int  # place
    first_prompt: int  # place of the batch's first prompt
    num_tokens: int
    seconds: float
    peak_bytes: int  # of the process, or of the GPU where the model is on one


class AdapterCost(NamedTuple):
    """What a method adds to the base: 0 and 0 for the base and for steering by words."""

    num_parameters: int
    num_bytes: int


class RunData(NamedTuple):
    """Everything that the metrics of a run are computed from.

    `tallies[label][sample key]` holds, for a label of `RunSpec.scorers` or the judge's, the sum of the
    log-probabilities of the text given its prompt and the number of tokens; for `attribute:NAME` how many judgements
    say that the text shows the attribute, and how many there were. `prompt_tallies[kind, label][place]`, kind
    "prompt" or "reference", holds the log-probabilities of the prompts themselves and of the references.
    """

    run: Run
    samples: tuple[Sample, ...]
    tallies: Mapping[str, Mapping[str, Tally]]
    prompt_tallies: Mapping[tuple[str, str], Mapping[int, Tally]]
    timings: tuple[Timing, ...]
    costs: tuple[AdapterCost, ...]  # by place of the method
