"""Lists of words: which are used and how they are split, and what a bag pushes at each token, by hand."""

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adapters.base_model import BaseModel
from adapters.methods import MAX_WORDS, Attribute, UserError, from_json, to_json, weighted_word
from adapters.pplm.bags import (
    NO_TOKEN,
    AttributeLoss,
    Bag,
    Evidence,
    attribute_bag,
    attribute_loss,
    bag_of_words,
    split_words,
)

CPU = torch.device("cpu")
PROBABILITIES = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])  # of tokens 0 to 4


def evidence(recent: list[list[int]], cooldown: int = 0, logprobs: Tensor | None = None) -> Evidence:
    """What a bag sees where every row has the same probabilities; `recent` is filled up before its beginning."""
    padded = [[NO_TOKEN] * (16 - len(row)) + row for row in recent]
    rows = len(recent)
    return Evidence(
        logprobs=PROBABILITIES.log().repeat(rows, 1) if logprobs is None else logprobs,
        hidden_sum=torch.zeros(rows, 1),
        num_hidden=torch.ones(rows, dtype=torch.long),
        recent=torch.tensor(padded),
        cooldown=torch.full((rows,), cooldown),
    )


def pushed(loss: AttributeLoss, recent: list[int], cooldown: int = 0) -> list[float]:
    """exp(-loss): the weighted probability of what counts now."""
    return loss(evidence([recent], cooldown)).neg().exp().tolist()


def test_a_word_is_pushed_piece_by_piece() -> None:
    """The word 1 2 3, beside the word 4."""
    loss = Bag({((), 1): 1.0, ((1,), 2): 1.0, ((1, 2), 3): 1.0, ((), 4): 1.0}, CPU)
    assert pushed(loss, [0]) == pytest.approx([0.2 + 0.25])
    assert pushed(loss, [0, 1]) == pytest.approx([0.2 + 0.25 + 0.3])
    assert pushed(loss, [0, 1, 2]) == pytest.approx([0.2 + 0.25 + 0.15])
    assert pushed(loss, [0, 1, 2, 3]) == pytest.approx([0.2 + 0.25])
    assert pushed(loss, [1, 0, 2]) == pytest.approx([0.2 + 0.25])
    rows = loss(evidence([[0], [0, 1]])).neg().exp()
    assert rows.tolist() == pytest.approx([0.45, 0.75]), "each row by its own text"


def test_a_token_that_counts_twice_is_counted_once_with_the_larger_weight() -> None:
    loss = Bag({((), 2): 1.0, ((1,), 2): 3.0}, CPU)
    assert pushed(loss, [0]) == pytest.approx([0.3])
    assert pushed(loss, [1]) == pytest.approx([0.9])


def test_a_word_just_used_rests_but_not_its_next_piece() -> None:
    """The word 1 1 2: its second token is the one that was just used."""
    loss = Bag({((), 1): 1.0, ((1,), 1): 1.0, ((1, 1), 2): 1.0, ((), 4): 1.0}, CPU)
    assert pushed(loss, [0], 2) == pytest.approx([0.2 + 0.25])
    assert pushed(loss, [0, 1], 2) == pytest.approx([0.2 + 0.25]), "1 goes on with the word"
    assert pushed(loss, [1, 1], 2) == pytest.approx([0.2 + 0.25 + 0.3])
    assert pushed(loss, [1, 1, 2], 2) == pytest.approx([0.25])
    assert pushed(loss, [1, 1, 2, 0], 2) == pytest.approx([0.2 + 0.25]), "it has rested for two tokens"
    assert pushed(loss, [4, 1, 2], 2) == pytest.approx([0.25])


def test_a_bag_whose_words_were_all_just_used_pushes_nowhere() -> None:
    logits = torch.zeros(2, 5, requires_grad=True)
    seen = evidence([[2, 4], [2, 4]], 0, logits.log_softmax(-1))._replace(cooldown=torch.tensor([0, 2]))
    both = Bag({((), 2): 1.0, ((), 4): 1.0}, CPU)
    (gradient,) = torch.autograd.grad(both(seen).sum(), logits)
    assert gradient[0].abs().sum() > 0
    assert not gradient[1].any()


def test_weights_of_words_and_of_lists(tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    tokenizer = tiny_llama.tokenizer
    logprobs = torch.randn(2, 258, generator=torch.Generator().manual_seed(0)).log_softmax(-1)

    def loss(*attributes: Attribute) -> Tensor:
        return attribute_loss(tokenizer, attributes, CPU)(evidence([[], []], logprobs=logprobs))

    a, z = (logprobs[:, tokenizer.encode(letter)[0]] for letter in "az")
    torch.testing.assert_close(loss(Attribute("a", words=("a",))), -a)
    torch.testing.assert_close(loss(Attribute("x", words=("a:3", "z"))), -(3 * a.exp() + z.exp()).log())
    torch.testing.assert_close(loss(Attribute("a", words=("a",)), Attribute("z", -2.0, ("z",))), -a + 2 * z)
    with pytest.raises(UserError, match="There is no discriminator 'mood:up' here"):
        loss(Attribute("mood:up"))


def test_weights_go_to_json_and_back_and_are_checked() -> None:
    attribute = Attribute("own", words=("laser:2.5", "sea"))
    assert from_json(Attribute, to_json(attribute)) == attribute
    assert [weighted_word(word) for word in attribute.words] == [("laser", 2.5), ("sea", 1.0)]
    assert weighted_word("12:x") == ("12:x", 1.0)
    for wrong in ("laser:0", "laser:-1", "laser:nan", "laser:1e9"):
        with pytest.raises(UserError, match="must be above 0 and at most 100"):
            weighted_word(wrong)


def test_a_list_of_100_000_words_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="^A list has 100,000 words, at most 5,000 can be used: shorten it.$"):
        from_json(Attribute, {"name": "all", "words": [f"w{i}" for i in range(100_000)]})
    assert len(Attribute("most", words=("w",) * MAX_WORDS).words) == MAX_WORDS


def test_each_word_says_how_it_is_split_and_whether_it_is_used(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token a letter: only what begins with half of a word's letters can be begun."""
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    monkeypatch.setattr("adapters.pplm.bags.known_words", lambda: frozenset({"x"}))
    words = ["a", " b:2 ", "a", "", "qi", "xi", "bee", "x" * 17]
    a, b, qi, xi, bee, long = split_words(tiny_llama.tokenizer, words)
    assert (a.word, b.word, b.weight, bee.pieces) == ("a", "b", 2.0, ("b", "e", "e"))
    assert [split.counts for split in (a, qi, xi, bee)] == [(True,), (True, True), (False, False), (False, True, True)]
    assert [any(split.counts) for split in (a, b, qi, xi, bee, long)] == [True, True, True, False, True, False]
    assert xi.problem == "its first token 'x' is a word by itself"
    assert bee.problem == "only finished once the text has begun it: its first token 'b' is too short"
    assert long.problem == "it has 17 tokens, at most 16 can be followed"
    assert a.problem == qi.problem == ""
    ids = bee.token_ids
    assert bag_of_words([a, bee]) == {((), a.token_ids[0]): 1.0, (ids[:1], ids[1]): 1.0, (ids[:2], ids[2]): 1.0}
    with pytest.raises(UserError, match="No word of 'bees' can be begun with this model's tokens .tried: bee"):
        attribute_bag(tiny_llama.tokenizer, Attribute("bees", words=("bee",)))
    with pytest.raises(UserError, match="There is no attribute 'nonsense': choose one of science, space"):
        attribute_bag(tiny_llama.tokenizer, Attribute("nonsense"))


@pytest.mark.parametrize(
    ("word", "pieces", "counts"),
    [
        ("science", [" science"], [True]),
        ("grenade", [" gren", "ade"], [True, True]),
        ("underdog", [" under", "dog"], [False, False]),
        ("android", [" and", "roid"], [False, False]),
        ("intergalactic", [" inter", "gal", "actic"], [False, True, True]),
        ("sniper", [" sn", "iper"], [False, True]),
        ("black hole", [" black", " hole"], [True, True]),
        ("in vitro", [" in", " vitro"], [False, True]),
    ],
)
def test_words_of_the_embedded_model(
    embedded_tokenizer: PreTrainedTokenizerBase, word: str, pieces: list[str], counts: list[bool]
) -> None:
    (split,) = split_words(embedded_tokenizer, [word])
    assert (list(split.pieces), list(split.counts)) == (pieces, counts)
