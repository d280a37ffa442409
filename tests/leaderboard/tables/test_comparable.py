"""What counts: the same cells for all methods, cut to the same length, without those that cannot be compared."""

import numpy as np

from adapters.methods import BASE, PPLM, Attribute, Method
from leaderboard.metrics.metric import Texts
from leaderboard.records import AGAIN, Prompt, Tally, Timing
from leaderboard.tables.comparable import comparable
from tests.leaderboard.made_up import LORA, PREFIX, STEERED, made_up

TEN = "a b c d e f g h i j"


def written(data_texts: list[Texts | None]) -> list[list[str] | None]:
    return [None if texts is None else list(texts.texts) for texts in data_texts]


def test_only_cells_that_every_method_has_count() -> None:
    data = made_up({BASE: [["a", "b"], ["c", "d"], ["e", "f"]], LORA: [["A", "DIVERGED"], [None, "D"], [None, None]]})
    seen = comparable(data)
    assert written(seen.texts) == [["a", "d"], ["A", "D"]]
    assert (seen.prompts, seen.num_texts) == ([0, 1], 2)
    assert seen.setting.n == "2 texts of each method, for 2 prompts"


def test_a_method_without_a_text_takes_no_part() -> None:
    seen = comparable(made_up({BASE: [["a"]], LORA: [["DIVERGED"]], PREFIX: [[None]]}))
    assert written(seen.texts) == [["a"], None, None]
    assert comparable(made_up({BASE: [[None]]})).texts == [None]


def test_an_empty_text_is_a_text_of_no_words() -> None:
    seen = comparable(made_up({BASE: [[TEN], [TEN]], LORA: [[TEN], [""]]}))
    assert written(seen.texts) == [[TEN, TEN], [TEN, ""]]
    assert [[len(words) for words in texts.words] for texts in seen.texts if texts] == [[10, 0]] * 2


def test_words_are_cut_to_the_shortest_text_of_the_cell() -> None:
    seen = comparable(made_up({BASE: [["a b c", "a b c d"]], LORA: [["x y", "x y z u v"]]}))
    assert [[" ".join(words) for words in texts.words] for texts in seen.texts if texts] == [
        ["a b", "a b c d"],
        ["x y", "x y z u"],
    ]
    assert seen.setting.equal_length.endswith("3.0 of 3.5 words on average")


def test_a_method_that_writes_far_less_is_left_out_and_cuts_nothing() -> None:
    seen = comparable(made_up({BASE: [[TEN]] * 3, LORA: [["a b c"]] * 3, PREFIX: [["x y"], ["x y"], [TEN]]}))
    lengths = [[len(words) for words in texts.words] for texts in seen.texts if texts]
    assert lengths == [[3] * 3, [3] * 3, [0] * 3]
    assert "without prefix:facts" in seen.setting.equal_length
    together = comparable(made_up({BASE: [["a b"]] * 3, PREFIX: [["x y"]] * 3}))
    assert [[len(words) for words in texts.words] for texts in together.texts if texts] == [[2] * 3] * 2


def test_a_tally_counts_where_every_method_that_has_any_has_it() -> None:
    tallies = {"base": {"0 0 0": Tally(-1, 1), "0 1 0": Tally(-2, 1), "1 1 0": Tally(-3, 1)}}
    seen = comparable(made_up({BASE: [["a"], ["b"]], LORA: [["c"], ["d"]], PREFIX: [["e"], ["f"]]}, tallies=tallies))
    found = [texts.tally("base").tolist() for texts in seen.texts if texts]
    assert found == [[[0, 0], [-2, 1]], [[0, 0], [-3, 1]], [[0, 0], [0, 0]]]


def test_a_slice_has_only_its_prompts() -> None:
    prompts = [Prompt(f"p {number}", f"r {number}", tags=(("kind", "AB"[number % 2]),)) for number in range(4)]
    data = made_up({LORA: [[str(number)] for number in range(4)]}, prompts)
    seen = comparable(data, lambda prompt: dict(prompt.tags)["kind"] == "B")
    (texts,) = seen.texts
    assert texts is not None
    assert (seen.prompts, texts.texts, texts.references) == ([1, 3], ["1", "3"], ["r 1", "r 3"])
    assert texts.prompts.tolist() == [0, 1]
    assert seen.base is None


def test_a_batch_counts_for_its_first_prompt() -> None:
    timings = [Timing(0, 0, 10, 1.0, 7), Timing(0, 2, 30, 2.0, 9), Timing(1, 0, 10, 4.0, 8), Timing(1, 0, 10, 1.0, 5)]
    data = made_up({BASE: [["a"]] * 3, LORA: [["b"]] * 3}, timings=timings)
    lora = comparable(data).texts[1]
    assert lora is not None
    assert lora.costs is not None
    assert lora.costs.speed.tolist() == [[20, 5], [0, 0], [0, 0]]
    assert lora.costs.base_speed.tolist() == [[10, 1], [0, 0], [30, 2]]
    assert (lora.costs.num_parameters, lora.costs.num_bytes, lora.costs.peak_bytes) == (1_000, 4_096, 8)
    untimed = comparable(made_up({LORA: [["b"]]})).texts[0]
    assert untimed is not None
    assert untimed.costs is not None
    assert np.isnan(untimed.costs.peak_bytes)
    assert not untimed.costs.base_speed.any()


def test_what_is_steered_to_is_wanted_and_what_is_steered_away_from_is_not() -> None:
    def steered(name: str, *attributes: Attribute) -> Method:
        return Method(name, steering=PPLM(attributes))

    methods = [
        STEERED,
        steered("away", Attribute("legal", -1), Attribute("space", -1)),
        steered("both", Attribute("space"), Attribute("legal", 1, words=("own",))),
    ]
    tallies = {f"attribute:{name}": {"0 0 0": Tally(1, 1)} for name in ("science", "legal", "space")}
    setting = comparable(made_up({method: [["a"]] for method in methods}, tallies=tallies)).setting
    assert setting.attributes == {"science": True, "legal": False, "space": None}
    assert setting.judge_title == "tiny, unchanged"


def test_the_base_again_is_not_what_methods_are_compared_with() -> None:
    assert comparable(made_up({LORA: [["a"]], AGAIN: [["b"]], BASE: [["c"]]})).base == 2
    assert comparable(made_up({LORA: [["a"]], Method("plain"): [["c"]]})).base == 1
