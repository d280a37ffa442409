"""Every metric is also an `evaluate.Measurement` that loads by path, offline, and says the same number."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import evaluate
import pytest

import leaderboard.metrics
from leaderboard.metrics.distinct import distinct, repetition
from tests.leaderboard.metrics.by_hand import (
    attribute_success_of,
    bleu_of,
    chrf_of,
    compression_of,
    median_perplexity_of,
    perplexity_of,
    prompt_distinct_of,
    relative_speed_of,
    rouge_l_of,
    self_bleu_of,
)

FOLDER = Path(leaderboard.metrics.__file__).parent
PARTS = {"__init__", "metric", "grams", "passport"}  # files that are no metric
TEXTS = ["the cat saw the cat and the dog", "the dog saw a cat and the dog saw a cat", "rain"]
REFERENCES = ["the cat saw a dog and the cat", "a dog saw the cat", "rain"]
PROMPTS = ["a", "a", "b"]
TOKENS = {"sum_logprobs": [-2.0, -4.0], "num_tokens": [1, 5]}
BATCHES = {"num_tokens": [100.0], "seconds": [2.0], "base_tokens": [100.0], "base_seconds": [1.0]}
CASES: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "perplexity": (
        TOKENS,
        {"perplexity": perplexity_of(**TOKENS), "median_perplexity": median_perplexity_of(**TOKENS)},  # type: ignore[arg-type]
    ),
    "distinct": (
        {"predictions": TEXTS, "prompts": PROMPTS},
        {f"distinct_{n}": distinct(TEXTS, n) for n in (1, 2, 3)}
        | {"prompt_distinct_2": prompt_distinct_of(TEXTS, PROMPTS), "repetition": repetition(TEXTS)},
    ),
    "self_bleu": ({"predictions": TEXTS}, {"self_bleu": self_bleu_of(TEXTS)}),
    "compression": ({"predictions": TEXTS, "prompts": PROMPTS}, {"compression": compression_of(TEXTS, PROMPTS)}),
    "attribute": ({"predictions": [True, False]}, {"attribute_success": attribute_success_of([True, False])}),
    "bleu": ({"predictions": TEXTS, "references": REFERENCES}, {"bleu": bleu_of(TEXTS, REFERENCES)}),
    "rouge_l": ({"predictions": TEXTS, "references": REFERENCES}, {"rouge_l": rouge_l_of(TEXTS, REFERENCES)}),
    "chrf": ({"predictions": TEXTS, "references": REFERENCES}, {"chrf": chrf_of(TEXTS, REFERENCES)}),
    "cost": (BATCHES, {"speed": relative_speed_of(*BATCHES.values())}),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `evaluate` puts copies and data, without a network; one folder for all, since it imports the copies."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
        patch.setattr(
            evaluate.loading,
            "init_dynamic_modules",
            partial(evaluate.loading.init_dynamic_modules, hf_modules_cache=folder),
        )
        yield folder


def test_there_is_a_case_for_every_metric() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - PARTS == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_it_loads_by_path_and_says_the_same(name: str, cache: Path) -> None:
    inputs, expected = CASES[name]
    measurement = evaluate.load(str(FOLDER / f"{name}.py"), module_type="measurement", cache_dir=str(cache))
    assert measurement.compute(**inputs) == pytest.approx(expected)
    assert "=" in measurement.description, "the equation stands on top"
