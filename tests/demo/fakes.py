"""An engine that writes prepared texts, so that the page is tested without a model.

One token is one word with the blank before it. A prompt that contains a trigger word makes the engine refuse, diverge
or break.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from adapters.discriminators.labelled import Labelled
from adapters.learned.costs import Cost, Costs
from adapters.methods import Method, Request, Sampling, UserError, weighted_word
from adapters.xray.trace import Candidate, NextTokens, Scored, Step, Word, XRay
from demo.services import Services
from leaderboard.prompts import Limits
from tests.demo.fake_runs import FakeRunner
from tests.demo.fake_training import FakeAdapter, FakeLibrary, FakeTrainer

TEXTS = {
    "base": " a little too long for its own good, but I liked the actor who plays the brother, and the scene on the "
    "bridge is worth the price of the ticket. The science in it is thin.",
    "lora": " a silver thing that turned\nUpon the quiet of the evening air,\nAnd every lamp that in the city burned\n"
    "Grew pale to see it there.\n\nAnd I, who had not asked for any light,\nWent home.",
    "prefix": " 2001: A Space Odyssey",
    "pplm": " about a laboratory in which a young researcher tests a theory of gravity, and the experiment slowly "
    "changes her. The data from the laboratory are strange, and the physics of the particle is stranger.",
}
CONTEXT = 100


class FakeContinuation(NamedTuple):
    request: Request
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[float, ...]
    finish_reason: str | None
    seconds: float


class FakeLogLikelihood(NamedTuple):
    logprobs: tuple[float, ...]


class FakeHead(NamedTuple):
    classes: tuple[str, ...]


class FakeStore(NamedTuple):
    adapters: Sequence[FakeAdapter] = (
        FakeAdapter("poetry", "lora", 920_000, 8),
        FakeAdapter("scifi", "lora", 920_000, 8),
        FakeAdapter("facts", "prefix", 230_400, 20),
    )
    discriminators: dict[str, FakeHead] = {"sentiment": FakeHead(("negative", "positive"))}
    refused: dict[str, str] = {"legal": "It was made for the base model 'gpt2', not for 'fake-135M'."}


class FakeEngine:
    """Yields one word a step; a steered row takes three steps a word. Remembers what it was asked."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.asked: list[list[Request]] = []
        self.scored: list[Method] = []
        self.closed = 0
        self.words: list[str] = []

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Generator[list[FakeContinuation], None, None]:
        for request in requests:
            if request.method.lora not in (None, "poetry", "scifi"):
                raise UserError(f"There is no LoRA adapter {request.method.lora!r}: choose one of poetry, scifi.")
            for attribute in request.method.steering.attributes if request.method.steering else ():
                if attribute.is_discriminator and not attribute.name.startswith("sentiment:"):
                    raise UserError(
                        f"There is no discriminator {attribute.name.partition(':')[0]!r}: choose sentiment."
                    )
            if (length := len(request.prompt.split()) + sampling.max_new_tokens) > CONTEXT:
                raise UserError(f"The prompt and the continuation need {length} tokens, the context has {CONTEXT}.")
        self.asked.append(list(requests))
        return self._steps(requests, sampling)

    def _steps(self, requests: Sequence[Request], sampling: Sampling) -> Generator[list[FakeContinuation], None, None]:
        start = time.perf_counter()
        rows = [[*self._words(request)] for request in requests]
        try:
            seconds = [0.0] * len(rows)
            for step in range(1, 3 * max(map(len, rows)) + 1):
                time.sleep(self.delay)
                if "BREAK" in requests[0].prompt and step > 3:
                    raise RuntimeError("the engine broke")
                counts = [min(step // 3 if r.method.steering else step, sampling.max_new_tokens) for r in requests]
                now = time.perf_counter() - start
                seconds = [
                    now if count <= len(row) else then for count, row, then in zip(counts, rows, seconds, strict=True)
                ]
                yield [self._row(*row) for row in zip(requests, rows, counts, seconds, strict=True)]
                if all(
                    count >= min(len(row), sampling.max_new_tokens) for count, row in zip(counts, rows, strict=True)
                ):
                    return
        finally:
            self.closed += 1

    def _words(self, request: Request) -> Iterator[str]:
        method = request.method
        off = method.lora_scale == 0 or method.steering is not None and method.steering.step_size == 0
        kind = "pplm" if method.steering else "lora" if method.lora else "prefix" if method.prefix else "base"
        text = TEXTS["base" if off and "UNEQUAL" not in request.prompt else kind]
        yield from text.replace("\n", " \n").replace(" \n", "\n|").replace(" ", "| ").strip("|").split("|")

    def _row(self, request: Request, words: list[str], count: int, seconds: float) -> FakeContinuation:
        written = words[:count]
        ids = tuple(self._id(word) for word in written)
        diverged = "DIVERGE" in request.prompt and request.method.steering is not None and count > 4
        reason = "diverged" if diverged else "eos" if count >= len(words) else None
        return FakeContinuation(request, (0, 1), ids, "".join(written), (-2.0,) * len(ids), reason, seconds)

    def _id(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.words[i] for i in ids)

    def loglikelihood(
        self, texts: Sequence[tuple[Sequence[int], Sequence[int]]], method: Method
    ) -> list[FakeLogLikelihood]:
        self.scored.append(method)
        return [FakeLogLikelihood((-3.0,) * len(ids)) for _, ids in texts]


class FakeXRays:
    """Looks at the fake engine's texts: numbers are made of the places of tokens. Counts what was closed."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.asked: list[tuple[Request, tuple[str, ...]]] = []
        self.closed = 0

    def text(self, request: Request, token_ids: Sequence[int], words: Sequence[str] = ()) -> Iterator[XRay]:
        self.asked.append((request, tuple(words)))
        steps: list[Step] = []
        pieces = tuple(self.engine.decode([token]) for token in token_ids)
        try:
            for place, piece in enumerate(pieces):
                time.sleep(self.engine.delay)
                if "BREAK" in request.prompt:
                    raise RuntimeError("the replay broke")
                if "DIVERGE" in request.prompt and place == 2:
                    yield XRay(request.method, ("The", " start"), pieces, tuple(steps), diverged=True)
                    return
                steps.append(fake_step(place, piece, words))
                yield XRay(request.method, ("The", " start"), pieces, tuple(steps), (0.5, 0.25, 0.125))
        finally:
            self.closed += 1

    def next_tokens(self, requests: Sequence[Request]) -> Iterator[list[NextTokens]]:
        found = [NextTokens(request.method, ((" a", 0.5), (" the", 0.25))) for request in requests]
        yield from (found[: done + 1] for done in range(len(found)))

    def scores(
        self, requests: Sequence[Request], texts: Sequence[Sequence[int]], models: Sequence[Method]
    ) -> Iterator[list[Scored]]:
        for done in range(1, len(models) + 1):
            yield [
                Scored(
                    request.method,
                    tuple(self.engine.decode([token]) for token in ids),
                    tuple((-float(model + 1),) * len(ids) for model in range(done)),
                )
                for request, ids in zip(requests, texts, strict=True)
            ]


def fake_step(place: int, piece: str, words: Sequence[str]) -> Step:
    """The step at a place, with two pushes in three layers over `place + 1` columns."""
    chosen = Candidate(place, piece, 0.1, 0.2, 0.3)
    width = place + 1
    return Step(
        chosen=chosen,
        rank_clean=place + 3,
        rank_perturbed=2,
        rank_fused=1,
        candidates=(chosen, Candidate(99, " <b>other</b>", 0.4, 0.2, 0.25)),
        kl_perturbed=1.0,
        kl_fused=0.1 * place,
        share=0.5,
        losses=(8.0 - place, 6.0 - place, 5.0 - place),
        norms=((1.0, 2.0, 3.0), (0.5, 1.0, 1.5)),
        width=width,
        heat=tuple((0.5 * layer,) * width for layer in (1, 2, 3)),
        bag=(Word("laboratory", Candidate(7, " laboratory", 0.001, 0.01, 0.005), "science"),),
        named=tuple(Word(word, Candidate(8, f" {word}", 0.01, 0.02, 0.015)) for word in words),
        path=((0.0, 0.0, 0.0), (1.0, 2.0, 3.0), (2.0, 4.0, 6.0)),
    )


class FakeFingerprints:
    """A hash is the name backwards, until `changed` says that something is another."""

    def __init__(self) -> None:
        self.changed: set[str] = set()

    def named(self, methods: Sequence[Method]) -> dict[str, str]:
        names = {"base", *(f"{kind}:{name}" for method in methods for kind, name in parts(method))}
        return {name: ("another" if name in self.changed else name[::-1]) for name in sorted(names)}


class FakeSplit(NamedTuple):
    """A word is one token if it is short, two otherwise; the second half of those with an x is all that counts."""

    word: str
    weight: float
    pieces: tuple[str, ...]
    counts: tuple[bool, ...]
    problem: str


def fake_splits(words: Sequence[str]) -> list[FakeSplit]:
    found = []
    for word, weight in map(weighted_word, words):
        half = len(word) // 2 if len(word) > 5 else len(word)
        pieces = tuple(filter(None, (f" {word[:half]}", word[half:])))
        counts = ("x" not in word, True)[: len(pieces)]
        found.append(FakeSplit(word, weight, pieces, counts, "" if counts[0] else "its first token is too short"))
    return found


class FakeAccuracy(NamedTuple):
    rows: int
    share: float
    low: float
    high: float


class FakeMeasured(NamedTuple):
    classes: tuple[str, ...]
    training_rows: int = 40
    held_out_rows: int = 10
    largest_class: float = 0.5
    confusion: tuple[tuple[int, ...], ...] = ((4, 1), (2, 3))
    curve: tuple[FakeAccuracy, ...] = (FakeAccuracy(20, 0.6, 0.31, 0.83), FakeAccuracy(40, 0.7, 0.4, 0.89))
    enough: int = 20

    @property
    def accuracy(self) -> FakeAccuracy:
        return self.curve[-1]


class FakeReport(NamedTuple):
    about: str
    measured: FakeMeasured


class FakeDiscriminatorTrainer:
    """Trains in three steps; a text that contains BREAK makes it break. Remembers how often it was left early."""

    def __init__(self, store: FakeStore, library: FakeLibrary) -> None:
        self.store, self.library, self.left = store, library, 0

    def train(self, name: str, rows: Sequence[Labelled], owner: str | None) -> Iterator[str]:
        if name in self.store.discriminators:
            raise UserError(f"There is already something called {name!r}: choose another name.")
        try:
            yield f"read 5 of {len(rows)} texts"
            if any("BREAK" in row.text for row in rows):
                raise RuntimeError("the training broke")
            yield "trying regularisation 1 of 7"
        except GeneratorExit:
            self.left += 1
            raise
        self.store.discriminators[name] = FakeHead(tuple(sorted({row.label for row in rows})))
        self.library.owners[name] = owner

    def report(self, name: str) -> FakeReport | None:
        classes = self.store.discriminators[name].classes
        return None if name == "bare" else FakeReport("made up", FakeMeasured(classes))


class FakeUpdate(NamedTuple):
    layer: int | None
    module: str
    relative: float
    singular_values: tuple[float, ...] = (2.0, 1.0)
    effective_rank: float = 1.9
    size: tuple[int, int] = (576, 192)
    trained: int = 1536

    @property
    def path(self) -> str:
        return self.module if self.layer is None else f"model.layers.{self.layer}.{self.module}"


class FakeCrop(NamedTuple):
    path: str
    first_row: int = 64
    first_column: int = 32
    weight: tuple[tuple[float, ...], ...] = ((1.0, -2.0), (0.5, 0.0))
    change: tuple[tuple[float, ...], ...] = ((0.1, 0.0), (0.0, -0.2))
    adapted: tuple[tuple[float, ...], ...] = ((1.1, -2.0), (0.5, -0.2))


class FakeNeighbour(NamedTuple):
    text: str
    cosine: float


class FakeVirtual(NamedTuple):
    before: tuple[FakeNeighbour, ...]
    after: tuple[FakeNeighbour, ...]
    moved: tuple[float, ...]


class FakeAttention(NamedTuple):
    layers: tuple[tuple[float, ...], ...]
    tokens: tuple[tuple[float, ...], ...]


class FakeWatched(NamedTuple):
    tokens: tuple[str, ...]
    attention: FakeAttention | None


class FakeExplorer:
    """A LoRA of two layers, a prefix of two virtual tokens. Remembers what it was asked, and how often left early."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left = 0

    def updates(self, name: str) -> list[FakeUpdate]:
        self.asked.append(f"updates {name}")
        return [FakeUpdate(0, "self_attn.q_proj", 0.01), FakeUpdate(1, "self_attn.v_proj", 0.04)]

    def crop(self, name: str, path: str) -> FakeCrop:
        if path not in [update.path for update in self.updates(name)]:
            raise UserError(f"This LoRA does not adapt {path!r}: choose one of its modules.")
        return FakeCrop(path)

    def words(self, name: str) -> list[FakeVirtual]:
        self.asked.append(f"words {name}")
        near = (FakeNeighbour(" <b>sea", 0.5), FakeNeighbour("x", 0.25))
        return [FakeVirtual((FakeNeighbour(" sea", 1.0),), near, (0.1, 0.3)), FakeVirtual((), near, ())]

    def watch(self, name: str, prompt: str) -> Iterator[FakeWatched]:
        self.asked.append(f"watch {name} {prompt}")
        try:
            yield FakeWatched((" a",), None)
            yield FakeWatched((" a", "<i>"), FakeAttention(((0.1, 0.2), (0.3, 0.4)), ((0.3, 0.5), (0.3, 0.9))))
        except GeneratorExit:
            self.left += 1
            raise

    def as_json(self, name: str) -> bytes:
        return f'{{"name": "{name}"}}'.encode()


COSTS = Costs(
    *("fake-135M", 135_000_000, "cpu", "float32", "2 CPU cores", "2026-11-25 10:00", 8, 20, 4, 64, 16, 5),
    methods=(
        Cost("base", 0, 0, token_seconds=0.1),
        Cost("LoRA", 920_000, 3_680_000, 500_000_000, 1.5, 0.11),
        Cost("merged LoRA", None, 540_000_000, token_seconds=0.1),
        Cost("prefix", 230_400, 921_600, 400_000_000, 1.2, 0.102),
        Cost("full fine-tuning", 135_000_000, 540_000_000, 2_000_000_000, 3.0),
    ),
)


class FakeCosts:
    """Nothing is measured at first; `breaks` is what a measurement ends with instead of figures."""

    def __init__(self, breaks: Exception | None = None) -> None:
        self.costs: Costs | None = None
        self.breaks, self.left = breaks, 0

    def stored(self) -> Costs | None:
        return self.costs

    def measure(self) -> Iterator[str]:
        try:
            yield "training steps, round 0 of 5"
            if self.breaks is not None:
                raise self.breaks
            yield "decoding, round 5 of 5"
        except GeneratorExit:
            self.left += 1
            raise
        self.costs = COSTS


def parts(method: Method) -> Iterator[tuple[str, str]]:
    if method.lora is not None:
        yield "lora", method.lora
    if method.prefix is not None:
        yield "prefix", method.prefix
    for attribute in method.steering.attributes if method.steering else ():
        yield "discriminator" if attribute.is_discriminator else "words", attribute.name


def fake_services(
    engine: FakeEngine | None = None, store: FakeStore | None = None, runner: FakeRunner | None = None
) -> Services:
    """Services around a fake engine."""
    engine, runner, store = engine or FakeEngine(), runner or FakeRunner(), store or FakeStore()
    adapters = list(store.adapters)  # a training adds to them
    store = store._replace(adapters=adapters, discriminators=dict(store.discriminators))
    library = FakeLibrary(adapters, store.discriminators)
    attributes = {
        "science": ("science", "laboratory", "researcher", "theory", "gravity", "experiment", "data", "physics"),
        "positive": ("good", "liked", "wonderful"),
    }
    return Services(
        engine=engine,
        xrays=FakeXRays(engine),
        store=store,
        attributes=attributes,
        base="fake-135M",
        num_parameters=135_000_000,
        decode=engine.decode,
        has_chat=True,
        runner=runner,
        database=runner.database,
        fingerprints=FakeFingerprints(),
        versions={"torch": "2.13.0"},
        limits=Limits(),
        judges=("org/judge",),
        publisher=None,
        splits=fake_splits,
        discriminator_trainer=FakeDiscriminatorTrainer(store, library),
        trainer=FakeTrainer(library),
        library=library,
        explorer=FakeExplorer(),
        costs=FakeCosts(),
    )


def main() -> None:
    """Serves the page with the fake engine, to look at it: python -m tests.demo.fakes"""
    from demo.page import build_app, launch

    services = fake_services(FakeEngine(delay=0.04), runner=FakeRunner(delay=0.05))
    launch(build_app(services), "127.0.0.1", 7870)


if __name__ == "__main__":
    main()
