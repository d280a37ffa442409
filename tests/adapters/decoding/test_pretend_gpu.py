"""The engine and trainings on a pretend GPU: nothing mixes devices, and little waits for the GPU at each token."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.source_tree import ROOT

ONE = "tolist at batch.py"  # everything that a token needs, at once
OPEN = (  # known waits that are still to go
    "torch.tensor at sampling.py: logits = penalise(",
    "_local_scalar_dense at masking_utils.py",  # transformers looks whether a mask (B, T) leaves anything out
)


@pytest.fixture(scope="module")
def checked() -> dict[str, Any]:
    """In its own process: from the first tensor on the device torch has one more."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.pretend_gpu"]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


@pytest.mark.slow
def test_texts_scores_and_losses_are_those_of_the_cpu(checked: dict[str, Any]) -> None:
    assert checked["wrong"] == {}
    assert {"base", "all", "class to come", "lora, scores", "PrefixSettings"} < set(checked["compared"])


@pytest.mark.slow
def test_a_token_waits_for_the_gpu_once(checked: dict[str, Any]) -> None:
    for name, waits in checked["waits"].items():
        assert [count for line, count in waits.items() if line.startswith(ONE)] == [1.0], name
        assert [line for line in waits if not line.startswith((ONE, *OPEN))] == [], name
