"""A text that grows token by token is at each step the decoding of the whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base_model import BaseModel
from adapters.decoding.sampling import Sampler
from adapters.decoding.text import HALF, TOKENS_BEFORE, Row, Text
from adapters.methods import BASE, Request, Sampling

EOS = frozenset([257])
GREEDY = Sampler(Sampling(temperature=0))


def check(base: BaseModel, prompt: list[int], tokens: list[int]) -> None:
    """Writes `tokens` one by one and compares each state with the whole decoded anew."""

    def decode(ids: list[int]) -> str:
        return str(base.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    row = Row(Request("", BASE), prompt, len(tokens), torch.Generator(), GREEDY)
    text = Text(base.tokenizer, row, 0.0)
    before = prompt[-TOKENS_BEFORE:]
    for token in tokens:
        row.take(token, -1.0, True, 0.0, EOS)
        found = text.continuation()
        whole = decode(before + row.token_ids)[len(decode(before)) :]
        assert found.text == (whole.rstrip(HALF) if row.finish_reason is None else whole)
        assert found.token_ids == tuple(row.token_ids)
        if row.finish_reason:
            break


# Bytes of ASCII, of umlauts, of three-byte and four-byte characters, and bytes that belong nowhere.
PIECES = st.sampled_from(
    [b"a", b" b", "ä".encode(), "猫".encode(), "😀".encode(), b"\xff", b"\x80", b"\xe7\x8c", b"\n"]
)
BYTES = st.lists(PIECES, max_size=30).map(b"".join)


@given(prompt=BYTES, text=BYTES)
@settings(deadline=None, max_examples=60)
def test_bytes(tiny_llama: BaseModel, prompt: bytes, text: bytes) -> None:
    vocabulary = tiny_llama.tokenizer.get_vocab()
    byte_of = {byte: vocabulary[character] for byte, character in characters().items()}
    check(tiny_llama, [256, *(byte_of[byte] for byte in prompt)], [byte_of[byte] for byte in text])


def characters() -> dict[int, str]:
    """The character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(others)}


@given(prompt=st.lists(st.integers(0, 257), min_size=1, max_size=12), tokens=st.lists(st.integers(0, 257), max_size=30))
@settings(deadline=None, max_examples=60)
def test_random_tokens_of_the_tiny_model(tiny_llama: BaseModel, prompt: list[int], tokens: list[int]) -> None:
    check(tiny_llama, prompt, tokens)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_random_tokens_of_the_embedded_model(embedded: BaseModel, data: st.DataObject) -> None:
    ids = st.one_of(st.integers(0, len(embedded.tokenizer) - 1), st.integers(0, 300))  # the first ones are single bytes
    check(embedded, data.draw(st.lists(ids, min_size=1, max_size=12)), data.draw(st.lists(ids, max_size=30)))


def test_only_the_end_is_decoded_again(tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row(Request("", BASE), [256, 65], 500, torch.Generator(), GREEDY)
    text = Text(tiny_llama.tokenizer, row, 0.0)
    sizes: list[int] = []
    decode = Text._decode

    def counted(self: Text, ids: list[int]) -> str:
        sizes.append(len(ids))
        return decode(self, ids)

    monkeypatch.setattr(Text, "_decode", counted)
    for _ in range(100):
        row.take(65, -1.0, True, 0.0, EOS)
        text.continuation()
    assert max(sizes) == TOKENS_BEFORE + 1
