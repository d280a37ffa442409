"""X-rays: how the tokens of a text were made, found by writing the same text again.

The sampler repeats the known tokens, all else is as when the text was generated. So the record fits the text, and
generating costs nothing more. Every generator yields after each piece of work and can be closed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from adapters.decoding.batch import Batch
from adapters.decoding.engine import Engine
from adapters.decoding.sampling import likeliest
from adapters.decoding.text import TOKENS_BEFORE
from adapters.methods import Method, Request, UserError
from adapters.xray.recorder import LIKELIEST, Recorder, paths, pieces, short
from adapters.xray.trace import MAX_STEPS, POSITIONS, NextTokens, Scored, XRay

VIRTUAL = "⟨virtual {number}⟩"  # a token of a prefix


class Script:
    """Chooses the tokens of a known text, and keeps the last logits (1, V)."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        self.left = iter(token_ids)
        self.logits: Tensor | None = None

    def __call__(self, logits: Tensor, ids: Sequence[list[int]], generators: Sequence[Generator]) -> Tensor:
        self.logits = logits
        return torch.tensor([next(self.left)], device=logits.device)


def place_of_text(batch: Batch) -> int:
    """The place of the row of a batch's only text, beside those that are mixed with it."""
    return next(place for place, row in enumerate(batch.rows) if row.leader is None)


class XRays:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def text(self, request: Request, token_ids: Sequence[int], words: Sequence[str] = ()) -> Iterator[XRay]:
        """How the first MAX_STEPS tokens of a steered text were made, growing; the last XRay has the paths too.

        Also keeps the probability of each of `words` at every token, by its first piece. Raises UserError if the
        request is not steered, or as `generate` does.
        """
        steering, tokenizer = request.method.steering, self.engine.base.tokenizer
        if steering is None:
            raise UserError("Only a steered text has an X-ray of its steering: choose a pane with PPLM.")
        token_ids = list(token_ids[:MAX_STEPS])
        prompt_ids = self.engine.base.encode(request.prompt, request.chat)
        context = self._context(request.method, self.engine.read_ids(prompt_ids, request.method))
        tokens = pieces(tokenizer, prompt_ids[-TOKENS_BEFORE:], token_ids)
        xray = XRay(request.method, context, tokens)
        yield xray
        if not token_ids:
            return
        script = Script(token_ids)
        batch = self.engine.batch(request, script, len(token_ids))
        recorder = Recorder(tokenizer, steering, words, place_of_text(batch))
        assert batch.steering is not None, "the request is steered"
        batch.steering.observer, is_mixed = recorder, batch.mixture is not None
        for written in self._tokens(batch):
            if len(written) > len(xray.steps):
                ids = [*prompt_ids, *written[:-1]]
                if is_mixed and script.logits is not None:
                    recorder.on_mixed(script.logits)
                if (step := recorder.step(ids, written[-1])) is None:
                    break
                xray = replace(xray, steps=(*xray.steps, step))
            yield xray
        if xray.steps:
            along, variance = paths(recorder.states)
            first, second, third = map(short, variance)
            rounded = [tuple((short(x), short(y), short(z)) for x, y, z in path) for path in along.tolist()]
            steps = tuple(replace(step, path=path) for step, path in zip(xray.steps, rounded, strict=True))
            xray = replace(xray, steps=steps, variance=(first, second, third))
        yield replace(xray, diverged=len(xray.steps) < len(token_ids))

    def next_tokens(self, requests: Sequence[Request]) -> Iterator[list[NextTokens]]:
        """The likeliest first tokens of each method, one method more at a time. Raises UserError as `generate`."""
        found: list[NextTokens] = []
        for request in requests:
            script = Script([0])
            for written in self._tokens(self.engine.batch(request, script, 1)):
                if written:
                    break
                yield found
            found = [*found, NextTokens(request.method, self._likeliest(script.logits) if written else ())]
            yield found

    def scores(
        self, requests: Sequence[Request], texts: Sequence[Sequence[int]], models: Sequence[Method]
    ) -> Iterator[list[Scored]]:
        """The first MAX_STEPS tokens of each text under each of `models`, one model more at a time."""
        tokenizer = self.engine.base.tokenizer
        pairs = [
            (self.engine.base.encode(request.prompt, request.chat), list(ids[:MAX_STEPS]))
            for request, ids in zip(requests, texts, strict=True)
        ]
        found = [
            Scored(request.method, pieces(tokenizer, prompt_ids[-TOKENS_BEFORE:], ids), ())
            for request, (prompt_ids, ids) in zip(requests, pairs, strict=True)
        ]
        for model in models:
            scored = [row.logprobs for row in self.engine.loglikelihood(pairs, model)]
            rows = [tuple(short(value) if math.isfinite(value) else None for value in row) for row in scored]
            found = [replace(text, logprobs=(*text.logprobs, row)) for text, row in zip(found, rows, strict=True)]
            yield found

    def _tokens(self, batch: Batch) -> Iterator[list[int]]:
        """The tokens of a batch's only text, after each piece of work."""
        row = batch.rows[place_of_text(batch)]
        while batch.rows:
            with self.engine.turn:
                batch.advance()
            yield row.token_ids

    def _context(self, method: Method, prompt_ids: Sequence[int]) -> tuple[str, ...]:
        """The texts of the newest columns before the text."""
        virtual = 0 if method.prefix is None else self.engine.store.prefix(method.prefix).shape[-2]
        shown = prompt_ids[-POSITIONS - 1 :]
        names = [VIRTUAL.format(number=number + 1) for number in range(virtual)]
        texts = [str(self.engine.base.tokenizer.decode([token])) for token in shown]
        return (*names, *texts)[-POSITIONS - 1 :]

    def _likeliest(self, logits: Tensor | None) -> tuple[tuple[str, float], ...]:
        assert logits is not None, "a token was chosen"
        shares, tokens = likeliest(logits, min(LIKELIEST, logits.shape[-1]))
        texts = [str(self.engine.base.tokenizer.decode([token])) for token in tokens[0].tolist()]
        return tuple((text, short(share)) for text, share in zip(texts, shares[0].tolist(), strict=True))
