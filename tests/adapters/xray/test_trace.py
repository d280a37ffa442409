"""X-rays on the tiny models: every number against plain passes of the model, and nothing is paid when nobody looks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from adapters.decoding.text import Continuation
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError, as_in_paper, unsteered
from adapters.pplm.steering import Steering
from adapters.xray.recorder import newest, paths, pieces, short
from adapters.xray.replay import XRays
from adapters.xray.trace import (
    MAX_STEPS,
    POSITIONS,
    RECORD,
    Candidate,
    Step,
    TextRecord,
    XRay,
    least_cost,
    pack,
    unpack,
)
from tests.adapters.conftest import Bench
from tests.adapters.decoding.test_laws import REQUESTS, SAMPLED, STEERING, finish

VOWELS = Attribute("vowels", words=("a", "e", "o"))
FRESH = replace(as_in_paper(PPLM((VOWELS,), 0.3, 3, 0, 1.5, 0.05, 0.9)), carry=False)
GREEDY = Sampling(temperature=0, max_new_tokens=6)


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of one token without a space before them, and heads for the attributes that need one."""
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    monkeypatch.setattr("adapters.xray.recorder.WORD_START", "")
    monkeypatch.setattr("adapters.pplm.bags.known_words", frozenset)


def last(steps: Iterator[XRay]) -> XRay:
    *_, xray = steps
    return xray


def write(bench: Bench, steering: PPLM, sampling: Sampling = GREEDY) -> Continuation:
    (row,) = finish(bench.engine, [Request("Once upon", Method("pplm", steering=steering))], sampling)
    return row


class ByHand:
    """PPLM afresh at every token, with plain passes and autograd, and every number of it."""

    def __init__(self, bench: Bench, words: str, steering: PPLM) -> None:
        self.model: Any = bench.base.model
        self.words = [bench.base.tokenizer.encode(letter)[0] for letter in words]
        self.steering = steering
        self.largest = [0.0] * self.model.config.num_hidden_layers

    def read(self, token: int, past: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(past):
            cache.update(keys, values, layer)
        output = self.model(input_ids=torch.tensor([[token]]), past_key_values=cache, output_hidden_states=True)
        return output.logits[0, -1], output.hidden_states[-1][0, -1]

    def __call__(self, ids: Sequence[int]) -> dict[str, Any]:
        with torch.no_grad():
            cache: Any = self.model(input_ids=torch.tensor([list(ids[:-1])]), use_cache=True).past_key_values
            clean = self.model(input_ids=torch.tensor([list(ids)])).logits[0, -1].softmax(-1)
        past = [(layer.keys, layer.values) for layer in cache.layers]
        nudge = [tuple(torch.zeros_like(part) for part in pair) for pair in past]
        found: dict[str, Any] = {"losses": [], "norms": [], "states": [], "clean": clean}
        for iteration in range(self.steering.num_iterations + 1):
            flat = [part.detach().requires_grad_() for pair in nudge for part in pair]
            moved = [(k + flat[2 * i], v + flat[2 * i + 1]) for i, (k, v) in enumerate(past)]
            logits, hidden = self.read(ids[-1], moved)
            p = logits.softmax(-1)
            attribute = -p[self.words].sum().log()
            found["losses"].append(attribute.item())
            found["states"].append(hidden.detach())
            if iteration == self.steering.num_iterations:
                break
            divergence = (p * (p / clean).log()).sum()
            gradients = torch.autograd.grad(attribute + self.steering.kl_scale * divergence, flat)
            both = [torch.cat(gradients[2 * i : 2 * i + 2], dim=1)[0] for i in range(len(past))]  # (2 H, T, D)
            found["norms"].append([gradient.norm().item() for gradient in both])
            if iteration == 0:
                found["heat"] = [gradient.norm(dim=(0, 2)).tolist() for gradient in both]
            for i, gradient in enumerate(both):
                self.largest[i] = max(self.largest[i], gradient.norm().item())
                size = self.steering.step_size / self.largest[i] ** self.steering.gamma
                nudge[i] = tuple(flat[2 * i + j].detach() - size * gradients[2 * i + j] for j in (0, 1))
        perturbed = p.detach()
        fused = perturbed**self.steering.gm_scale * clean ** (1 - self.steering.gm_scale)
        return found | {"perturbed": perturbed, "fused": fused / fused.sum()}


def test_every_number_of_a_step_is_that_of_plain_passes(bench: Bench) -> None:
    row = write(bench, FRESH)
    xray = last(XRays(bench.engine).text(row.request, row.token_ids, ("u", "zu")))
    by_hand = ByHand(bench, "aeo", FRESH)
    moved = []
    assert len(xray.steps) == len(row.token_ids) == 6
    for number, (token, step) in enumerate(zip(row.token_ids, xray.steps, strict=True)):
        ids = [*row.prompt_ids, *row.token_ids[:number]]
        found = by_hand(ids)
        check_step(step, token, found)
        assert [word.word for word in step.named] == ["u", "zu"]
        assert step.named[1].token.token_id == bench.base.tokenizer.encode("z")[0], "a word by its first piece"
        assert {word.token.token_id for word in step.bag} == set(by_hand.words)
        gains = [word.token.fused - word.token.clean for word in step.bag]
        assert gains == sorted(gains, reverse=True)
        assert step.width == len(ids) - 1
        moved.append(torch.stack([state - found["states"][0] for state in found["states"]]))
    flat = torch.stack(moved).flatten(0, 1)
    spread = torch.linalg.eigvalsh(flat.T @ flat).flip(0)
    assert xray.variance == pytest.approx((spread[:3] / spread.sum()).tolist(), rel=1e-2)
    lengths = torch.tensor([step.path for step in xray.steps]).flatten(0, 1).square().sum(0)
    assert lengths.tolist() == pytest.approx(spread[:3].tolist(), rel=1e-2)


def check_step(step: Step, token: int, found: dict[str, Any]) -> None:
    for name in ("clean", "perturbed", "fused"):
        expected: Tensor = found[name]
        assert getattr(step.chosen, name) == pytest.approx(expected[token].item(), rel=1e-3)
        assert getattr(step, f"rank_{name}") == 1 + int((expected > expected[token]).sum())
        shown = {candidate.token_id: getattr(candidate, name) for candidate in step.candidates}
        assert set(expected.topk(10).indices.tolist()) <= set(shown)
        assert all(share == pytest.approx(expected[i].item(), rel=1e-3, abs=1e-9) for i, share in shown.items())
    for name in ("perturbed", "fused"):
        expected = (found[name] * (found[name] / found["clean"]).log()).sum()
        assert getattr(step, f"kl_{name}") == pytest.approx(expected.item(), rel=1e-3, abs=1e-6)
    assert step.share == pytest.approx(0.9)
    assert step.losses == pytest.approx(found["losses"], rel=1e-3)
    assert [pytest.approx(norms, rel=1e-2) for norms in found["norms"]] == list(map(list, step.norms))
    assert [pytest.approx(norms, rel=5.1e-2, abs=1e-6) for norms in found["heat"]] == list(map(list, step.heat))


def test_the_record_fits_the_text_whatever_its_method_and_neighbours(bench: Bench) -> None:
    rows = finish(bench.engine, REQUESTS, SAMPLED)
    steered = [row for row in rows if row.request.method.steering is not None]
    assert len(steered) > 5
    for row in steered:
        xray = last(XRays(bench.engine).text(row.request, row.token_ids))
        assert [step.chosen.token_id for step in xray.steps] == list(row.token_ids)
        expected = [math.exp(logprob) for logprob in row.logprobs]
        assert [step.chosen.clean for step in xray.steps] == pytest.approx(expected, rel=1e-3)
        assert not xray.diverged
        for number, step in enumerate(xray.steps):
            assert len(xray.places(number)) == len(step.heat[0])


def test_law_10_no_step_moves_its_words_for_fewer_nats_than_a_push(bench: Bench) -> None:
    """KL >= m log(m / m0) + (1 - m) log((1 - m) / (1 - m0)), whatever was recorded; for a push alone it is equal."""
    steps: list[Step] = []
    for steering in (FRESH, replace(FRESH, gm_scale=0.5, cooldown=3), replace(STEERING, strength=5.0)):
        row = write(bench, steering, SAMPLED)
        steps += last(XRays(bench.engine).text(row.request, row.token_ids)).steps
    assert len(steps) > 20
    for step in steps:
        assert step.mass is not None
        assert step.kl_fused >= least_cost(*step.mass) - 1e-5
    assert max(step.efficiency or 0 for step in steps) <= 1.001


@pytest.mark.parametrize("name", ["push beside pplm", "everything"])
def test_the_last_distribution_is_the_one_that_is_drawn_from(bench: Bench, name: str) -> None:
    """A push, guidance and experts change what steering has fused."""
    (request,) = [request for request in REQUESTS if request.method.name == name]
    (row,) = finish(bench.engine, [request], GREEDY)
    xray = last(XRays(bench.engine).text(request, row.token_ids))
    assert [step.rank_fused for step in xray.steps] == [1] * len(row.token_ids)


def test_greedy_texts_are_the_likeliest_of_the_recorded_fused_distribution(bench: Bench) -> None:
    for steering in (replace(FRESH, kl_budget=0.5), replace(STEERING, cooldown=4)):
        row = write(bench, steering)
        xray = last(XRays(bench.engine).text(row.request, row.token_ids))
        assert [step.rank_fused for step in xray.steps] == [1] * len(row.token_ids)
        assert all(step.kl_fused <= steering.kl_budget + 1e-4 for step in xray.steps)


def test_recording_costs_nothing_when_it_is_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(bench, FRESH)
    counts = {"losses": 0, "passes": 0}
    by_attributes = Steering._by_attributes

    def counting(*args: Any) -> Tensor:
        counts["losses"] += 1
        return by_attributes(*args)

    def count_pass(*_: object) -> None:
        counts["passes"] += 1

    monkeypatch.setattr(Steering, "_by_attributes", counting)
    hook = bench.base.model.register_forward_pre_hook(count_pass)
    after = write(bench, FRESH)
    hook.remove()
    assert after.token_ids == before.token_ids
    assert after.logprobs == before.logprobs
    assert counts == {"losses": 3 * 6, "passes": 1 + 4 * 6}


def test_a_word_rests_where_it_was_just_used_and_a_piece_waits_for_its_turn(bench: Bench) -> None:
    attribute = Attribute("words", words=("ab", "o"))
    request = Request("Once", Method("pplm", steering=replace(FRESH, attributes=(attribute,), cooldown=2)))
    token_ids = bench.base.tokenizer.encode("oabc")
    steps = last(XRays(bench.engine).text(request, token_ids)).steps
    shown = [{word.token.text: (word.word, word.resting) for word in step.bag} for step in steps]
    assert shown[0] == {"a": ("ab", False), "o": ("o", False)}
    assert shown[1] == {"a": ("ab", False), "o": ("o", True)}
    assert shown[2] == {"a": ("ab", True), "b": ("ab", False), "o": ("o", True)}
    assert shown[3] == {"a": ("ab", True), "o": ("o", False)}


def test_a_record_survives_json(bench: Bench) -> None:
    row = write(bench, replace(FRESH, attributes=(VOWELS, Attribute("mood:up", -0.5))))
    xrays = XRays(bench.engine)
    requests = [row.request, Request("Once upon", BASE)]
    models = [unsteered(request.method) for request in requests]
    *_, scores = xrays.scores(requests, [row.token_ids, row.token_ids], models)
    *_, found = xrays.next_tokens(requests)
    xray = last(xrays.text(row.request, row.token_ids, ("a",)))
    record = TextRecord("Once upon", 0, False, tuple(found), tuple(models), tuple(scores), xray)
    assert RECORD.validate_json(RECORD.dump_json(record)) == record
    assert unpack(pack(record)) == record
    assert len(pack(record)) < len(RECORD.dump_json(record)) / 2


def test_next_tokens_are_those_of_plain_passes_and_of_the_first_step(bench: Bench) -> None:
    row = write(bench, FRESH)
    *_, (base, steered) = XRays(bench.engine).next_tokens([Request("Once upon", BASE), row.request])
    logits = bench.base.model(input_ids=torch.tensor([row.prompt_ids])).logits[0, -1]
    assert [share for _, share in base.tokens] == pytest.approx(logits.softmax(-1).topk(10).values.tolist(), rel=1e-3)
    step = last(XRays(bench.engine).text(row.request, row.token_ids)).steps[0]
    shares = sorted((candidate.fused for candidate in step.candidates), reverse=True)[:10]
    assert [share for _, share in steered.tokens] == pytest.approx(shares, rel=1e-3)


def test_scores_are_those_of_the_engine_under_each_model(bench: Bench) -> None:
    methods = [BASE, Method("x", lora="verse"), Method("y", lora="verse", steering=FRESH), Method("z", prefix="facts")]
    models = list(dict.fromkeys(map(unsteered, methods)))
    assert [model.name for model in models] == ["base", "lora:verse", "prefix:facts"]
    requests = [Request("Once upon", method) for method in methods]
    texts = [bench.base.tokenizer.encode(text) for text in ("a time", "there", "was", "")]
    *_, scores = XRays(bench.engine).scores(requests, texts, models)
    prompt = bench.base.encode("Once upon")
    for text, scored in zip(texts, scores, strict=True):
        expected = [list(bench.engine.loglikelihood([(prompt, text)], model)[0].logprobs) for model in models]
        assert [list(row) for row in scored.logprobs] == [pytest.approx(row, rel=1e-3) for row in expected]
    assert scores[0].tokens == tuple("a time")


def test_a_text_that_goes_wrong_is_recorded_up_to_there(bench: Bench) -> None:
    request = Request("Once", Method("burst", lora="burst", steering=FRESH))
    xray = last(XRays(bench.engine).text(request, bench.base.tokenizer.encode("abc")))
    assert (xray.diverged, xray.steps) == (True, ())
    *_, (found,) = XRays(bench.engine).next_tokens([request])
    assert found.tokens == ()
    *_, (scored,) = XRays(bench.engine).scores([request], [[65]], [unsteered(request.method)])
    assert scored.logprobs == ((None,),)


def test_what_cannot_be_looked_at_is_said(bench: Bench) -> None:
    xrays = XRays(bench.engine)
    with pytest.raises(UserError, match="choose a pane with PPLM"):
        last(xrays.text(Request("Once", BASE), [65]))
    assert last(xrays.text(Request("Once", Method("x", steering=FRESH)), [])).steps == ()


def test_a_text_without_pushes_and_the_best_of_several_are_recorded_too(bench: Bench) -> None:
    still = write(bench, replace(FRESH, num_iterations=0))
    steps = last(XRays(bench.engine).text(still.request, still.token_ids)).steps
    assert [(step.kl_fused, len(step.losses), step.norms, step.heat) for step in steps] == [(0.0, 1, (), ())] * 6
    best = write(bench, replace(FRESH, best_of=3), SAMPLED)
    steps = last(XRays(bench.engine).text(best.request, best.token_ids)).steps
    expected = [math.exp(logprob) for logprob in best.logprobs]
    assert [step.chosen.clean for step in steps] == pytest.approx(expected, rel=1e-3)


def test_a_closed_replay_frees_the_engine(bench: Bench) -> None:
    row = write(bench, FRESH)
    steps: Any = XRays(bench.engine).text(row.request, row.token_ids)
    for _ in range(5):
        next(steps)
    steps.close()
    assert write(bench, FRESH).token_ids == row.token_ids


def test_long_texts_are_cut_and_old_positions_put_together() -> None:
    heat = torch.ones(2, POSITIONS + 9)
    assert newest(heat).shape == (2, POSITIONS + 1)
    assert newest(heat)[0, 0].item() == pytest.approx(3), "the norm of nine ones"
    assert MAX_STEPS >= 256, "the longest text that the page writes"
    xray = XRay(BASE, tuple("abc"), tuple("de"))
    steps = tuple(blank_step(width) for width in (2, 3))
    assert [replace(xray, steps=steps).places(number) for number in (0, 1)] == [list("ab"), list("abc")]


def blank_step(width: int) -> Step:
    token = Candidate(0, "", 1.0, 1.0, 1.0)
    return Step(token, 1, 1, 1, (), 0.0, 0.0, 0.0, (), (), width, (), (), ())


def test_paths_begin_at_zero_and_follow_the_largest_movement() -> None:
    """Pushes along the second axis by 3 and 4, along the first by 1: 25 + 9 against 1 of all movement."""
    states = [torch.tensor([[5.0, 0, 0], [5, 3, 0]]), torch.tensor([[1.0, 1, 1], [2, 5, 1]])]
    along, variance = paths(states)
    assert along.shape == (2, 2, 3)
    assert along[:, 0].abs().max() == 0
    assert along[0, 1].norm().item() == pytest.approx(3)
    assert along[1, 1].norm().item() == pytest.approx(math.sqrt(17))
    assert variance.sum().item() == pytest.approx(1)
    assert variance[2].item() == pytest.approx(0, abs=1e-6)
    assert torch.equal(paths([torch.ones(2, 4)])[1], torch.zeros(3)), "nothing has moved"


def test_pieces_put_a_character_where_its_last_byte_is(bench: Bench) -> None:
    tokenizer = bench.base.tokenizer
    prompt, ids = tokenizer.encode("né"), tokenizer.encode("é\n€")
    assert pieces(tokenizer, prompt, ids) == ("", "é", "\n", "", "", "€")
    assert short(0.123456789) == 0.12346
    assert short(123.456, 2) == 120
