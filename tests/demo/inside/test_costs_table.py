"""The table of costs on the page."""

from adapters.learned.costs import Cost, Costs
from demo.inside import words
from demo.inside.tab import show_costs
from demo.services import Services

COSTS = Costs(
    *("tiny", 135_000_000, "cpu", "float32", "2 CPU cores", "2026-11-25 10:00", 8, 20, 4, 64, 16, 5),
    methods=(
        Cost("base", 0, 0, token_seconds=0.1),
        Cost("LoRA", 920_000, 3_680_000, 500_000_000, 1.5, 0.11),
        Cost("merged LoRA", None, 540_000_000, token_seconds=0.1),
        Cost("prefix", 230_400, 921_600, 400_000_000, 1.2, 0.102),
        Cost("full fine-tuning", 135_000_000, 540_000_000, 2_000_000_000, 3.0),
    ),
)


def test_before_anything_is_measured_the_page_says_how(lasting: Services) -> None:
    assert show_costs(lasting._replace(costs=lambda: None)) == ([(words.NOT_MEASURED, None)], [])


def test_the_figures_that_were_measured_last_are_shown(lasting: Services) -> None:
    ((line, _),), table = show_costs(lasting._replace(costs=lambda: COSTS))
    assert table == [
        ["base", "–", "–", "", "", "1.00 × base"],
        ["LoRA", "0.92 M (0.68 %)", "3.68 MB", "500 MB (25 % of full)", "1.50 s (50 % of full)", "1.10 × base"],
        ["merged LoRA", "as the LoRA", "540 MB", "", "", "1.00 × base"],
        ["prefix", "0.23 M (0.17 %)", "0.922 MB", "400 MB (20 % of full)", "1.20 s (40 % of full)", "1.02 × base"],
        ["full fine-tuning", "135 M", "540 MB", "2.00 GB (100 % of full)", "3.00 s (100 % of full)", ""],
    ]
    assert line.startswith("tiny (135,000,000 parameters, float32 on cpu), 2 CPU cores, 2026-11-25 10:00 UTC.")
