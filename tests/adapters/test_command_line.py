"""`python -m adapters`: trains, writes a whole folder with a card out of measured figures, and fails in one line."""

import json
import shlex
import signal
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from adapters.__main__ import main, parser
from adapters.adapter_files import METRICS_FILE, WEIGHTS_FILE
from adapters.base_model import EMBEDDED_ID, BaseModel, load_base_model
from adapters.cards import fenced
from adapters.lora.settings import LoraSettings
from adapters.methods import from_json
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.training.batches import measure
from adapters.training.card import Report, card, exact_matches
from adapters.training.corpus import Row, dataset, encode, rows_of, split
from adapters.training.order import TrainOrder, TrainSettings, command_line
from adapters.training.train_command import first_interrupt, read_order

QUICK = ["--steps", "6", "--batch-size", "4", "--lr", "0.03", "--warmup-steps", "2", "--eval-every", "3"]


@pytest.fixture(scope="module")
def model_folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny-llama")
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"q": f"What is {n}?", "a": "it"}) + "\n" for n in range(40)))
    return file


def report_of(folder: Path) -> Report:
    return from_json(Report, json.loads((folder / METRICS_FILE).read_text("utf-8")))


@pytest.mark.parametrize("kind", ["lora", "prefix"])
def test_a_trained_adapter_is_whole_and_reloads_to_the_measured_figures(
    model_folder: str, questions: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.training.train_command.GENERAL_ROWS", 4)
    size = ["--r", "2"] if kind == "lora" else ["--num-virtual-tokens", "3"]
    common = ["--kind", kind, "--data", str(questions), "--out", str(tmp_path), "--model", model_folder, *QUICK, *size]
    common += ["--about", "numbers", "--licence", "CC0"]
    assert main(["train", "facts", *common]) == 0
    assert main(["train", "facts", *common]) == 0  # takes the place of the first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts", "questions.jsonl"]
    base = load_base_model(model_folder, tmp_path)
    (adapter,) = AdapterStore([tmp_path], base).adapters
    assert (adapter.kind, adapter.size, adapter.base) == (kind, int(size[1]), model_folder)
    report = report_of(adapter.folder)
    assert (adapter.folder / "README.md").read_text("utf-8") == card(report)
    assert main(["card", str(adapter.folder)]) == 0
    assert report_of(adapter.folder) == report
    assert [point.step for point in report.curve] == [3, 6]
    assert report.adapter_scores.perplexity < report.base_scores.perplexity
    assert (report.training_rows, report.validation_rows, report.steps) == (36, 4, 6)
    data = dataset(str(questions))
    held_out = encode(base, split(rows_of(data), data)[1], 128).examples
    assert measure(base.model, held_out, 8).perplexity == pytest.approx(report.base_scores.perplexity, rel=1e-4)
    assert (report.about, report.licence) == ("numbers", "CC0")
    assert {tensor.dtype for tensor in load_file(adapter.folder / WEIGHTS_FILE).values()} == {torch.float16}
    reloaded = PeftModel.from_pretrained(base.model, str(adapter.folder)).eval()
    assert measure(reloaded, held_out, 8).perplexity == pytest.approx(report.adapter_scores.perplexity, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["../x", "--kind", "lora", "--data", "poetry"], "Give it a name"),
        (["x", "--kind", "lora", "--data", "nothing"], "no data set or file 'nothing'"),
        (["x", "--kind", "lora", "--data", "poetry", "--init-text", "a"], "--init-text is not a setting of a lora"),
        (["x", "--kind", "prefix", "--data", "poetry", "--r", "4"], "--r is not a setting of a prefix"),
        (["x", "--kind", "lora", "--data", "poetry", "--steps", "0"], "steps: "),
        (["x", "--kind", "lora", "--data", "poetry", "--lr", "nan"], "lr: "),
        (["x", "--kind", "lora", "--data", "poetry", "--r", "0"], "r: Input should be greater than or equal to 1"),
        (["x", "--kind", "lora", "--data", "poetry", "--r", "4096"], "r: Input should be less than or equal to 256"),
        (["x", "--kind", "lora", "--data", "poetry", "--lora-dropout", "1"], "lora_dropout: "),
        (["x", "--kind", "lora", "--data", "poetry", "--epochs", "0"], "epochs: "),
        (["x", "--kind", "lora", "--data", "poetry", "--report-to", "wandb"], "report_to.0: "),
        (
            ["x", "--kind", "prefix", "--data", "poetry", "--prefix-projection", "--init-text", "a"],
            "leave init_text empty",
        ),
        (["x", "--kind", "lora", "--data", "poetry", "--model", "/nowhere"], "Cannot load the base model"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments, "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_training_well_and_twice_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with first_interrupt() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked
        assert "stopping after this step" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_line_on_a_card_asks_for_the_same_again() -> None:
    lora = LoraSettings(r=4, target_modules=("q_proj", "v_proj"), use_dora=True, lora_dropout=0.1)
    prefix = PrefixSettings(num_virtual_tokens=5, init_text="Two words.")
    orders = [
        TrainOrder("verse", TrainSettings(lora, steps=7, schedule="linear", bfloat16=True), "poetry", epochs=1.5),
        TrainOrder(
            "facts", TrainSettings(prefix, lr=0.01), sample_prompt="It is", report_to=("tensorboard", "trackio")
        ),
    ]
    for order in orders:
        words = shlex.split(command_line(order, "my file.csv"))
        assert words[:4] == ["python", "-m", "adapters", "train"]
        options = parser().parse_args(words[3:])
        assert read_order(options) == order
        assert options.data == (order.data or "my file.csv")
    assert command_line(TrainOrder("x", TrainSettings(LoraSettings()), "poetry"), "") == (
        "python -m adapters train x --kind lora --data poetry"
    )


def test_converting_what_is_there_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / EMBEDDED_ID).mkdir()
    assert main(["convert", str(tmp_path / "none.whl"), "--home", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "")


def test_an_answer_is_exact_when_its_first_line_is(tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    written = [" Paris", "\n Paris \nMore", "Paris, France", ""]
    monkeypatch.setattr("adapters.training.card.greedy", lambda *_: written)
    rows: list[Row] = [{"q": "Capital?", "a": "Paris"}] * 4
    assert exact_matches(tiny_llama, None, [*rows, {"text": "no question"}]) == [True, True, False, False]


def test_model_text_cannot_break_out_of_its_block() -> None:
    assert fenced("````\n# not a title") == "`````text\n````\n# not a title\n`````"
