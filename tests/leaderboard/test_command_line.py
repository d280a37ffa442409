"""`python -m leaderboard`: results on stdout, progress on stderr, one line and a code for what went wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adapters.base_model import BaseModel
from adapters.methods import Sampling
from leaderboard.__main__ import main
from leaderboard.runs.writing import Piece, pieces
from leaderboard.store.database import Database

Run = Callable[..., int]
READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": lambda out: pd.read_csv(out, dtype={"tag:topic": str}, keep_default_na=False),
    ".jsonl": lambda out: pd.DataFrame(map(json.loads, out.read_text("utf-8").split("\n")[:-1])),
    ".parquet": pd.read_parquet,
}


@pytest.fixture(scope="module")
def model_folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny-llama")
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def command(model_folder: str, tmp_path: Path) -> Run:
    """Runs a command line in a home of its own."""
    (tmp_path / "prompts.csv").write_text("prompt,topic\nThe sea,NA\nOnce,007\n")

    def run(*arguments: str) -> int:
        model = ["--model", model_folder] if arguments[0] == "run" else []
        return main([*arguments, *model, "--home", str(tmp_path / "home")])

    return run


def run_it(command: Run, folder: Path, *more: str) -> int:
    return command("run", str(folder / "prompts.csv"), "--methods", "base", "--max-new-tokens", "5", *more)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".html"])
def test_a_run_prints_its_table_and_writes_its_texts(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert run_it(command, tmp_path, "--samples", "2", "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("run ")
    assert "prompts: 2 prompts, 4 texts by each method" in printed.out
    assert "perplexity" in printed.out
    assert "tokens" in printed.err
    assert "min left" not in printed.out
    if suffix == ".html":
        page = out.read_text("utf-8")
        assert "<h1>prompts</h1>" in page
        assert "The sea" in page
        return
    texts = READERS[suffix](out)
    assert texts["prompt"].tolist() == ["The sea", "The sea", "Once", "Once"]
    assert texts["tag:topic"].tolist() == ["NA", "NA", "007", "007"]
    assert texts["draw"].tolist() == [0, 1, 0, 1]
    assert texts["num_tokens"].between(1, 5).all()
    assert (texts["sum_logprob:base"] < 0).all()


def test_show_and_list_find_the_run_again(command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_it(command, tmp_path) == 0
    first = capsys.readouterr().out
    id = first.split()[1]
    for name in (id, id[:6], "last"):
        assert command("show", name) == 0
        assert capsys.readouterr().out == first
    assert command("list") == 0
    assert capsys.readouterr().out.split()[0] == id
    assert command("delete", id[:6]) == 0
    assert command("list") == 0
    assert capsys.readouterr().out == ""
    assert command("delete", id) == 2
    assert f"No run, or several, match '{id}'" in capsys.readouterr().err


def test_an_interrupted_run_is_kept_and_goes_on(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> Iterator[Piece]:
        for number, piece in enumerate(pieces(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield piece

    with monkeypatch.context() as patch:
        patch.setattr("leaderboard.runs.writing.pieces", interrupted)
        assert run_it(command, tmp_path) == 130
    assert "finished texts are kept" in capsys.readouterr().err
    database = Database(f"sqlite:///{tmp_path / 'home' / 'steerboard.db'}")
    assert [line.status for line in database.runs(None)] == ["stopped"]
    assert run_it(command, tmp_path) == 0
    assert [line.status for line in database.runs(None)] == ["done"], "the same run, not another one"


def test_finished_texts_and_the_base_again_are_further_rows(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out = tmp_path / "mine.csv", tmp_path / "out.jsonl"
    mine.write_text("prompt,text\nThe sea,is wide\nOnce,we sang\n")
    more = ["--texts", str(mine), "--texts-name", "people", "--a-a", "--out", str(out)]
    assert run_it(command, tmp_path, *more) == 0
    header = next(line for line in capsys.readouterr().out.split("\n") if "base again" in line)
    assert header.split()[-3:] == ["base", "again", "people"]
    texts = READERS[".jsonl"](out)
    assert texts["method"].tolist() == ["base", "base again", "people"] * 2
    assert texts[texts["method"] == "people"]["text"].tolist() == [" is wide", " we sang"]
    mine.write_text("prompt,text\nThe sea,is wide\n")
    assert run_it(command, tmp_path, *more) == 2
    assert capsys.readouterr().err == (
        "error: people: 1 prompt without a text: write them, or choose fewer prompts; the first is 'Once'.\n"
    )


def test_another_setting_is_another_run(command: Run, tmp_path: Path) -> None:
    assert run_it(command, tmp_path) == 0
    assert run_it(command, tmp_path, "--seed", "8") == 0
    assert len(Database(f"sqlite:///{tmp_path / 'home' / 'steerboard.db'}").runs(None)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "lora:nobody"], "There is no LoRA adapter 'nobody'"),
        (["--methods", "base,base"], "Two methods have the same name: choose each once."),
        (["--methods", "magic"], "Cannot read the method 'magic'"),
        (["--samples", "0"], "samples: Input should be greater"),
        (["--temperature", "nan"], "sampling.temperature: Input should be a finite number"),
        (["--out", "texts.docx"], "Cannot write texts.docx: choose a file in an existing folder that ends with .csv"),
        (["--out", "nowhere/texts.csv"], "Cannot write nowhere/texts.csv"),
        (["--judge", "nowhere/model"], "Cannot load the base model 'nowhere/model'"),
        (["--methods", "lora:poetry", "--a-a"], "An A/A row needs the base beside it: choose base too."),
        (["--texts", "nowhere.csv"], "[Errno 2] No such file or directory: 'nowhere.csv'"),
        (["--database", "nonsense"], "Cannot open the database"),
    ],
)
def test_what_can_be_mended_is_said_in_a_line(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_it(command, tmp_path, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_file_that_is_no_prompt_set_is_refused(
    command: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.csv").write_text("text\nhello\n")
    assert run_it(command, tmp_path) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "column" in printed
    assert command("run", "nowhere.csv") == 2
    assert "There is no file 'nowhere.csv'" in capsys.readouterr().err
    assert command("show", "last") == 2
    assert "No run, or several, match 'last'" in capsys.readouterr().err


def test_every_sampling_setting_has_an_option(command: Run, tmp_path: Path) -> None:
    settings = Sampling(temperature=1.5, top_k=9, top_p=0.5, repetition_penalty=1.2, max_new_tokens=5)
    options = [
        part
        for name in ("temperature", "top_k", "top_p", "repetition_penalty")
        for part in (f"--{name.replace('_', '-')}", str(getattr(settings, name)))
    ]
    assert run_it(command, tmp_path, *options) == 0
    database = Database(f"sqlite:///{tmp_path / 'home' / 'steerboard.db'}")
    run = database.run(database.runs(None)[0].id)
    assert run is not None
    assert run.spec.sampling == settings
