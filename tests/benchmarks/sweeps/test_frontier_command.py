"""`python -m benchmarks frontier`: figures on stdout, in a file, in a plot and on a page; wrong input is one line."""

from pathlib import Path

import pytest

from adapters.base_model import BaseModel, load_base_model
from adapters.pplm.discriminator import write_discriminator
from benchmarks.__main__ import main
from benchmarks.sweeps.frontier_report import plot as plotted
from benchmarks.sweeps.frontier_sweep import STEPS
from leaderboard.frontier import OURS, PAPER, UNSTEERED, read_frontier
from leaderboard.store.database import Database
from tests.adapters.discriminators.mood import MOOD


@pytest.fixture
def home(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    """A home with a tiny model in `model` and a discriminator `sentiment`, the name that has a judge."""
    home = tmp_path / "home"
    tiny_llama.model.save_pretrained(home / "model")
    tiny_llama.tokenizer.save_pretrained(home / "model")
    folder = home / "adapters" / "sentiment"
    folder.mkdir(parents=True)
    classes = ("negative", "positive", "flat")
    write_discriminator(MOOD._replace(classes=classes), load_base_model(str(home / "model"), tmp_path), folder)
    return home


def frontier(home: Path, *arguments: str) -> int:
    """Runs the command on two prompts."""
    (home / "prompts.csv").write_text("prompt,topic\nThe sea,NA\nOnce,007\n")
    common = ["--model", str(home / "model"), "--home", str(home)]
    return main(["frontier", str(home / "prompts.csv"), *arguments, *common])


SWEEP = ("--attributes", "sentiment:positive", "--samples", "1", "--ours", "0.2,0.4", "--paper", "0.02")
QUICK = ("--set", "num_iterations=1", "--set-paper", "num_iterations=2")


def test_a_sweep_is_printed_stored_drawn_and_goes_on(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot, page = (tmp_path / name for name in ("frontier.json", "frontier.svg", "page.md"))
    page.write_text("<!-- frontier -->\n<!-- /frontier -->")
    files = ("--out", str(out), "--plot", str(plot), "--page", str(page))
    assert frontier(home, *SWEEP, *QUICK, *files) == 0
    assert "sentiment:positive, paper 0.02\n  on topic, share of texts: " in capsys.readouterr().out
    made = read_frontier(out)
    assert made is not None
    (goal,) = made.goals
    strengths = [(point.algorithm, point.strength) for point in goal.points]
    assert strengths == [(UNSTEERED, 0), (OURS, 0.2), (OURS, 0.4), (PAPER, 0.02)]
    assert (goal.settings[OURS]["num_iterations"], goal.settings[PAPER]["num_iterations"]) == (1, 2)
    assert plot.read_text(encoding="utf-8") == plotted(made)
    assert "](frontier.svg)" in page.read_text(encoding="utf-8")
    (said,) = made.commands
    assert said.startswith(" ".join([f"python -m benchmarks frontier {home / 'prompts.csv'}", *SWEEP, *QUICK]))
    plot.unlink()
    page.write_text("<!-- frontier -->\n<!-- /frontier -->")
    assert frontier(home, "--redraw", *files) == 0
    assert plot.read_text(encoding="utf-8") == plotted(made)
    assert said in page.read_text(encoding="utf-8")
    assert "sentiment:positive, paper 0.02\n  on topic, share of texts: " in capsys.readouterr().out
    assert frontier(home, "--texts", "Once", "--attributes", "sentiment:positive", *files) == 0
    told = read_frontier(out)
    assert told is not None
    steered = told.goals[0].steered
    assert steered is not None
    assert [strength for strength, _ in steered.texts] == list(STEPS)
    assert repr([goal.points for goal in told.goals]) == repr([goal.points for goal in made.goals])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "strength=1"], "strength is the strength itself"),
        (["--samples", "0"], "samples: Input should be greater"),
        (["--ours", "1000"], "steering.strength: Input should be less than"),
        (["--attributes", "weather"], "No judge for 'weather'"),
        (["--redraw"], "--redraw and --texts need --out"),
        (["--out", "nowhere/found.json"], "Cannot write nowhere/found.json"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_begins(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert frontier(home, *SWEEP, *arguments) == 2
    printed = capsys.readouterr()
    assert f"error: {message}" in printed.err
    assert Database(f"sqlite:///{home / 'steerboard.db'}").runs(None) == []
