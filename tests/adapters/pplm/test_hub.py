"""The folder for the Hub: complete, described, and the same to use as the callable."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from sys import stdlib_module_names
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import PreTrainedTokenizerFast

from adapters.base_model import BaseModel
from adapters.methods import PPLM, Attribute, UserError, to_json
from adapters.pplm.bags import known_words, word_lists
from adapters.pplm.generate import pplm_generate
from adapters.pplm.hub import write_hub_folder
from tests.serving import model_folder

STEERING = to_json(PPLM((Attribute("vowels", words=("a", "e", "o")),), step_size=0.3))
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder, written once; what transformers copies of it and imports goes away in the end."""
    folder = tmp_path_factory.mktemp("hub") / "pplm"
    write_hub_folder(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        patch.setattr(sys, "path", [*sys.path])
        yield folder
        for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
            del sys.modules[name]


def test_the_callable_and_the_folder_write_the_same(
    tiny_base: BaseModel, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    model: Any = tiny_base.model
    arguments = {"max_new_tokens": 12, "do_sample": True, "pad_token_id": 257, "pplm": STEERING}
    written = []
    for how in (
        {"custom_generate": pplm_generate, "pplm_tokenizer": tokenizer},
        {"custom_generate": str(folder), "trust_remote_code": True, "tokenizer": tokenizer},
    ):
        torch.manual_seed(0)
        written.append(model.generate(torch.tensor([[79, 110, 99, 101]]), **arguments, **how).tolist())
    assert written[0] == written[1]


def test_the_folder_needs_nothing_but_what_it_says(folder: Path) -> None:
    code = folder / "custom_generate"
    lines = (code / "requirements.txt").read_text().splitlines()
    required = {name: pinned for name, _, pinned in (line.partition(">=") for line in lines)}
    assert all(version(name).partition("+")[0] == pinned for name, pinned in required.items())
    siblings = {path.stem for path in code.glob("*.py")}
    for path in code.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= stdlib_module_names | required.keys()
            elif isinstance(node, ast.ImportFrom):
                known = siblings if node.level else stdlib_module_names | required.keys()
                assert str(node.module).split(".")[0] in known, f"{path.name}: {ast.unparse(node)}"
    assert "peft" not in required, "others need not install what steering does not use"


def test_the_lists_of_the_project_travel_with_the_code(folder: Path) -> None:
    space: dict[str, Any] = {"__file__": "no/where/bags.py"}
    exec((folder / "custom_generate" / "bags.py").read_text().replace("from .", "from adapters."), space)
    ours = {name: words for name, words in word_lists().items() if "/" not in name}
    assert space["word_lists"]() == ours
    assert space["known_words"]() == known_words()
    card = (folder / "README.md").read_text()
    assert all(f"`{name}`" in card for name in ours)


def test_the_card_says_what_the_hub_asks_for(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.tags == ["custom_generate"]
    assert card.data.license == "apache-2.0"


def test_the_example_of_the_card_runs_by_itself(folder: Path, embedded: BaseModel, tmp_path: Path) -> None:
    """In a process that knows neither this package nor its folder."""
    (example,) = EXAMPLE.findall((folder / "README.md").read_text())
    example = example.replace("HuggingFaceTB/SmolLM2-135M-Instruct", str(model_folder()))
    example = example.replace("this-repository", str(folder)).replace("max_new_tokens=30", "max_new_tokens=4")
    (tmp_path / "example.py").write_text(example)
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-I", "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.startswith("The potato")
    assert len(run.stdout) > len("The potato\n")


def test_nothing_is_written_over(folder: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        write_hub_folder(folder)
