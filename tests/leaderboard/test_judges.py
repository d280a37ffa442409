"""Judges against texts written by hand, and what they are not asked."""

import pytest

from leaderboard.judges import TOPICS, judge_of, sentiment, topics
from tests.leaderboard.judged import BLAME, JUDGED, PLAIN, PRAISE


def test_topics_of_written_texts() -> None:
    """39 of the 42 texts about a topic are seen as that topic, and none of the 24 about daily life as any."""
    found = {topic: topics(texts) for topic, texts in JUDGED.items()}
    assert set(found) == {*TOPICS, None}
    right = {topic: sum(seen == topic for seen in verdicts) for topic, verdicts in found.items()}
    assert all(right[topic] >= 5 for topic in TOPICS), right
    assert right[None] >= 23
    assert sum(right.values()) / sum(map(len, found.values())) >= 0.95


def test_texts_without_sense_or_words_have_no_topic() -> None:
    assert topics(["", " \n", "Mammalogibber Fox Mammalogibber", "(1) 10 (2) 11"]) == [None] * 4
    assert topics([]) == []


def test_a_judge_answers_for_its_topic() -> None:
    for name in ("science", "empath/science"):
        judge = judge_of(name)
        assert judge is not None
        assert judge.sees([JUDGED["science"][0], JUDGED["legal"][0], JUDGED[None][0]]) == [True, False, False]


def test_sentiment_of_written_texts() -> None:
    positive, negative = judge_of("positive"), judge_of("liu/negative")
    assert positive is not None
    assert negative is not None
    for texts, expected in ((PRAISE, (True, False)), (BLAME, (False, True)), (PLAIN, (False, False))):
        assert positive.sees(texts) == [expected[0]] * len(texts)
        assert negative.sees(texts) == [expected[1]] * len(texts)


def test_the_classes_of_the_shipped_discriminator_are_judged_as_the_lists_are() -> None:
    for name in ("positive", "negative"):
        head, words = judge_of(f"sentiment:{name}"), judge_of(name)
        assert head is not None
        assert words is not None
        assert head.sees([*PRAISE, *BLAME, *PLAIN]) == words.sees([*PRAISE, *BLAME, *PLAIN])
        assert head.description == words.description


def test_sentiment_is_the_mean_of_sentences() -> None:
    good, bad = "The food was great.", "The room was horrible!"
    assert sentiment(f"{good}\n{bad}") == pytest.approx((sentiment(good) + sentiment(bad)) / 2)


@pytest.mark.parametrize(
    "name", ["", "my own list", "empath/weather", "Science", "mood:positive", "sentiment:flat", "sentiment:science"]
)
def test_there_is_no_judge_for_other_lists_and_discriminators(name: str) -> None:
    assert judge_of(name) is None


@pytest.mark.parametrize("name", [*TOPICS, "positive", "negative"])
def test_every_judge_says_what_it_does(name: str) -> None:
    judge = judge_of(name)
    assert judge is not None
    assert judge.description
