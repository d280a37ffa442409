"""A run and its results as frozen data.

Samples are in the order prompt, method, draw; prompts and methods are indices into the run's, from 0.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from adapters.decoding.likelihood import perplexity_of
from adapters.methods import BASE, STRICT, Method, Sampling, unsteered

ATTRIBUTE = "attribute:"  # begins the label of a tally of an attribute
AGAIN = Method("base again", seed_offset=1)  # the row of an A/A test: what differs from the base is chance
GIVEN = "given"  # the kind of finished texts, and how they ended
MAX_METHODS = 12  # of a run


@dataclass(frozen=True, config=STRICT)
class Prompt:
    """One row of a prompt set; `tags` are the unknown columns, kept to slice by."""

    prompt: Annotated[str, Field(min_length=1)]
    reference: str | None = None
    id: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, config=STRICT)
class PromptSet:
    name: str
    prompts: Annotated[tuple[Prompt, ...], Field(min_length=1)]

    @property
    def has_references(self) -> bool:
        return any(prompt.reference is not None for prompt in self.prompts)

    @property
    def tag_names(self) -> list[str]:
        """The tags of any prompt, in the order of their first appearance."""
        return list(dict.fromkeys(tag for prompt in self.prompts for tag, _ in prompt.tags))

    @property
    def duplicates(self) -> int:
        """Number of prompts that repeat an earlier one."""
        return len(self.prompts) - len({prompt.prompt for prompt in self.prompts})


@dataclass(frozen=True, config=STRICT)
class RunSpec:
    """The settings of a run, beside the prompts."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=MAX_METHODS)]
    samples: Annotated[int, Field(ge=1, le=50)] = 1  # texts for each prompt by each method
    sampling: Sampling = Sampling()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    judge: str | None = None  # Hub id or folder of the LM that scores; None: the base model
    chat: bool = False

    @model_validator(mode="after")
    def names_differ(self) -> "RunSpec":
        if len({method.name for method in self.methods}) < len(self.methods):
            raise ValueError("Two methods have the same name: choose each once.")
        if AGAIN in self.methods and BASE not in self.methods:
            raise ValueError("An A/A row needs the base beside it: choose base too.")
        return self

    def sample_seed(self, prompt: str, draw: int, method: Method = BASE) -> int:
        """The seed of a sample: the same for every method but an A/A row, another for every prompt and draw."""
        digest = hashlib.sha256(f"{self.seed + method.seed_offset} {draw} {prompt}".encode()).digest()
        return int.from_bytes(digest[:4])

    @property
    def written(self) -> tuple[Method, ...]:
        """The methods that write their texts."""
        return tuple(method for method in self.methods if method.texts is None)

    @property
    def scorers(self) -> dict[str, Method]:
        """The methods without steering by label, the base first; each scores the texts of all methods."""
        return {method.name: method for method in (BASE, *map(unsteered, self.methods))}

    @property
    def judge_label(self) -> str:
        """Label of the main scorer: one of `scorers`, or `judge:` and the judge's id."""
        return BASE.name if self.judge is None else f"judge:{self.judge}"


class Run(NamedTuple):
    id: str  # 128 random bits in hex: whoever knows it can see the run
    created: datetime  # UTC
    spec: RunSpec
    prompts: PromptSet
    base: str  # id of the base model
    hashes: Mapping[str, str]  # sha256 of the base model and of each adapter and word list that the run uses
    versions: Mapping[str, str]  # of the libraries, Python and the machine
    status: str  # "running", "stopped", "failed" or "done"
    owner: str | None  # hash of the owner's secret; None: the command line

    @property
    def line(self) -> "RunLine":
        methods = tuple(method.name for method in self.spec.methods)
        name, number = self.prompts.name, len(self.prompts.prompts)
        return RunLine(self.id, self.created, name, number, methods, self.status, self.owner)


class RunLine(NamedTuple):
    id: str
    created: datetime  # UTC
    name: str  # of the prompt set
    num_prompts: int
    methods: tuple[str, ...]
    status: str
    owner: str | None


class Sample(NamedTuple):
    prompt: int
    method: int
    draw: int  # number of the text for this prompt and method
    key: str  # sha256 of everything that determines the text
    seed: int  # 0 for a finished text, which has none
    text: str  # without the prompt and special tokens
    num_tokens: int  # the end token included
    finish_reason: str  # "eos", "length" or "diverged", or GIVEN for a finished text


class Trace(NamedTuple):
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]  # nats, under the sample's method without its steering


Given = tuple[Sample, Trace]  # a finished text, which nobody here has written or scored


class Tally(NamedTuple):
    """A sufficient statistic of one text: a sum and the number of its terms."""

    total: float
    number: int

    @property
    def perplexity(self) -> float:
        """Perplexity, if the sum is of log-probabilities in nats."""
        return perplexity_of(self.total, self.number)


class Written(NamedTuple):
    """A new text, with its log-probability under the method without steering."""

    sample: Sample
    trace: Trace
    scorer: str  # hash of the method without steering
    tally: Tally


class Timing(NamedTuple):
    """Time and memory of one batch: `num_tokens` new tokens in `seconds`."""

    method: int
    first_prompt: int
    num_tokens: int
    seconds: float
    peak_bytes: int  # of the process, or of the GPU where the model is on one


class AdapterCost(NamedTuple):
    """Size of a method's adapters and discriminators; 0 for the base and for word lists."""

    num_parameters: int
    num_bytes: int


class RunData(NamedTuple):
    """The data that the metrics of a run are computed from.

    `tallies[label][sample key]`: for a scorer's label the sum of the text's log-probabilities given its prompt, and the
    number of tokens; for `attribute:NAME` the number of judgements that it shows the attribute, and of all judgements.
    `prompt_tallies[kind, label][prompt]`: the same of prompts (kind "prompt") and of references (kind "reference").
    """

    run: Run
    samples: tuple[Sample, ...]
    tallies: Mapping[str, Mapping[str, Tally]]
    prompt_tallies: Mapping[tuple[str, str], Mapping[int, Tally]]
    timings: tuple[Timing, ...]
    costs: tuple[AdapterCost, ...]  # of each method
