"""The app without the names that only POSIX has, as on Windows and macOS: it imports, and a queued training works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.base_model import BaseModel

ROOT = Path(__file__).parents[3]
WITHOUT_POSIX = f"""
import importlib.abc, os, sys

for name in ("sched_getaffinity", "sched_setaffinity", "nice", "getpriority", "fork", "getpgid", "killpg", "setsid"):
    if hasattr(os, name):
        delattr(os, name)


MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "syslog")
OURS = {tuple(str(ROOT / layer) for layer in ("adapters", "leaderboard", "demo"))!r}


class Missing(importlib.abc.MetaPathFinder):  # for the files of this repository and for filelock
    def find_spec(self, name, path=None, target=None):
        if name not in MODULES:
            return None
        frame = sys._getframe(1)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        file = "" if frame is None else frame.f_code.co_filename
        if file.startswith(OURS) or "filelock" in file:
            raise ModuleNotFoundError(name)
        return None


for name in MODULES:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
"""
TRAIN = """
import importlib, json, pkgutil, sys, time
from pathlib import Path

import app, adapters, demo, leaderboard

if __name__ == "__main__":
    for package in (adapters, leaderboard, demo):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if "migrations" not in module.name and "__main__" not in module.name:
                importlib.import_module(module.name)
    from adapters.base_model import load_base_model
    from adapters.methods import from_json
    from adapters.store.adapter_store import AdapterStore
    from adapters.training.order import TrainOrder
    from adapters.training.queue import Trainer

    home = Path(sys.argv[2])
    base = load_base_model(sys.argv[1], home)
    trainer = Trainer(base, home, AdapterStore([home / "adapters"], base))
    order = from_json(TrainOrder, json.loads(sys.argv[4]))
    trainer.start(order, Path(sys.argv[3]), None)
    while not (last := trainer.jobs()[0]).now.ended:
        time.sleep(0.3)
    print(last.now.state, len(last.now.steps), last.now.message)
"""


@pytest.mark.slow
def test_the_app_imports_and_trains_two_steps_without_posix(tiny_llama: BaseModel, tmp_path: Path) -> None:
    folder, rows = tmp_path / "tiny", tmp_path / "rows.jsonl"
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    rows.write_text("".join(json.dumps({"text": f"Line {number}."}) + "\n" for number in range(20)), "utf-8")
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_POSIX, "utf-8")  # the training process reads it too
    script = tmp_path / "train.py"
    script.write_text(TRAIN, "utf-8")
    settings = {"adapter": {"r": 2}, "steps": 2, "batch_size": 2, "eval_examples": 2, "warmup_steps": 0}
    order = json.dumps({"name": "verse", "settings": settings})
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(tmp_path / "home"), str(rows), order],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.stdout.startswith("done 2 "), done.stdout + done.stderr
