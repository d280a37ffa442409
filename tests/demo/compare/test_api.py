"""The public endpoint /compare, over HTTP, around the tiny Llama."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]

import demo.page
from adapters.decoding.engine import Engine
from demo.compare import tab
from demo.leaderboard.score_api import score_endpoint
from demo.parts import events
from demo.parts.words import NO_PROMPT
from demo.services import Services
from leaderboard.output.looks import KINDS
from leaderboard.records import Run
from tests.serving import free_port


@pytest.fixture(scope="module")
def address(lasting: Services) -> Iterator[str]:
    blocks = demo.page.build_app(lasting)
    yield demo.page.start(lasting, blocks, "127.0.0.1", free_port())
    blocks.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def call(address: str, prompt: str, temperature: float = 1.0) -> str:
    """The events of a plain HTTP call, with whatever Python's JSON lets through."""
    body = json.dumps({"data": [prompt, ["base"], temperature, 0, 1.0, 1.0, 8, 0, False]})
    url = f"{address}gradio_api/call/compare"
    event = httpx.post(url, content=body, headers={"Content-Type": "application/json"}).json()["event_id"]
    return httpx.get(f"{url}/{event}", timeout=30).text


def test_rows_come_back_in_the_order_of_the_methods(client: Client) -> None:
    names = ["prefix:facts", "base", "lora:verse"]
    rows = client.predict("The movie was", names, max_new_tokens=6, seed=3, api_name="/compare")
    assert [row["method"] for row in rows] == names
    assert len({row["text"] for row in rows}) == 3
    assert all((row["finish_reason"], row["tokens"]) == ("length", 6) for row in rows)
    assert all(row["perplexity"] > 1 for row in rows)
    again = client.predict("The movie was", names[1:2], max_new_tokens=6, seed=3, api_name="/compare")
    assert again[0]["text"] == rows[1]["text"]


def test_a_method_steers_by_several_attributes(client: Client) -> None:
    """The tiny model cannot begin a word of the list, which is found when the method has been read."""
    with pytest.raises(AppError, match="No word of 'science' can be begun"):
        client.predict("Hi", ["lora:verse+pplm:science*2+pplm:legal*-1"], max_new_tokens=2, api_name="/compare")


def test_every_kind_of_method_writes(client: Client) -> None:
    names = ["base", "ask:science*1.5", "experts:verse", "experts:verse/facts*-0.5", "lora:verse+ask:science"]
    rows = client.predict("The movie was", names, max_new_tokens=6, seed=3, api_name="/compare")
    assert [row["method"] for row in rows] == names
    assert all(row["tokens"] == 6 and row["perplexity"] > 1 for row in rows)


def test_the_methods_that_are_offered_have_a_kind(client: Client) -> None:
    found = client.predict(api_name="/methods")
    assert {each["kind"] for each in found} == set(KINDS) - {"given"}, "finished texts are no method"
    assert {"name": "best:science", "kind": "best"} in found
    names = {each["name"] for each in found}
    assert {"push:science", "ask:science", "experts:verse", "experts:facts"} < names
    assert not any(name.startswith("push:tone") for name in names), "a push needs words"


def test_rows_stream(client: Client) -> None:
    job = client.submit("The movie was", ["base"], max_new_tokens=6, api_name="/compare")
    job.result()
    lengths = [rows[0]["tokens"] for rows in job.outputs()]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == 6


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "  "}, NO_PROMPT),
    ({"prompt": {"text": "hi"}}, NO_PROMPT),
    ({"prompt": "x" * 30_000}, "30,000 characters"),
    ({"methods": []}, "list of 1 to 6"),
    ({"methods": ["base"] * 7}, "list of 1 to 6"),
    ({"methods": "base"}, "list of 1 to 6"),
    ({"methods": [1]}, "list of 1 to 6"),
    ({"methods": ["nonsense"]}, "Cannot read the method 'nonsense'"),
    ({"methods": ["base", "lora:gone"]}, "lora:gone: There is no LoRA adapter 'gone'"),
    ({"methods": ["pplm:science*nan"]}, "weight: Input should be a finite number"),
    ({"methods": ["push:science*nan"]}, "weight: Input should be a finite number"),
    ({"methods": ["push:sentiment:positive"]}, "A push needs words"),
    ({"methods": ["base", "push:gone"]}, "push:gone: "),
    ({"methods": ["ask:science*inf"]}, "ask.gamma: Input should be a finite number"),
    ({"methods": ["ask:science*much"]}, "ask.gamma: "),
    ({"methods": ["base", "ask:cooking"]}, "ask:cooking: There is no instruction for 'cooking'"),
    ({"methods": ["experts:verse*9"]}, "experts.alpha: "),
    ({"methods": ["base", "experts:gone"]}, "experts:gone: "),
    ({"methods": ["base", "experts:verse/gone"]}, "experts:verse/gone: "),
    ({"methods": ["pplm:science+best:science"]}, "either pplm:NAME or best:NAME"),
    ({"methods": ["base", "pplm:tone:up"]}, "pplm:tone:up: There is no discriminator 'tone'"),
    ({"temperature": -1}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_k": 1e9}, "top_k"),
    ({"max_new_tokens": 10**9}, "max_new_tokens"),
    ({"max_new_tokens": 200}, "128"),
    ({"seed": -1}, "The seed '-1'"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=lambda value: str(value)[:40])
def test_bad_arguments_get_one_line(client: Client, arguments: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"prompt": "The movie was", "methods": ["base"]}
    with pytest.raises(AppError) as caught:
        client.predict(**(good | arguments), api_name="/compare")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_beyond_json_get_one_line_too(address: str, value: float) -> None:
    answer = call(address, "Hi", value)
    assert answer.startswith("event: error")
    assert "temperature: Input should be a finite number" in answer
    assert "Traceback" not in answer


def test_a_broken_engine_does_not_tell_its_inner_life(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(*_: Any) -> Iterator[Any]:
        raise RuntimeError("the engine broke")

    monkeypatch.setattr(Engine, "generate", generate)
    answer = call(address, "Hi")
    assert "event: error" in answer
    assert "the engine broke" not in answer


def test_the_queue_cannot_be_passed_by(address: str) -> None:
    for route in ("run/compare", "api/compare", "run/predict"):
        answer = httpx.post(f"{address}gradio_api/{route}", json={"data": ["Hi", ["base"]]})
        assert answer.status_code >= 400, route


def test_nobody_watches(address: str) -> None:
    assert httpx.get(f"{address}gradio_api/monitoring/summary").status_code >= 400
    assert httpx.get(f"{address}config").json()["run_history"] is False


def test_a_full_queue_says_so(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.generate

    def generate(self: Engine, *asked: Any) -> Iterator[Any]:
        for step in real(self, *asked):
            time.sleep(0.2)
            yield step

    monkeypatch.setattr(Engine, "generate", generate)
    monkeypatch.setattr(demo.page, "QUEUE_SIZE", 1)
    for module in (events, tab):
        monkeypatch.setattr(module, "VISITORS", 1)
    blocks = demo.page.build_app(lasting)
    client = Client(demo.page.start(lasting, blocks, "127.0.0.1", free_port()), verbose=False)
    running = threading.Event()
    jobs = [client.submit("The movie was", ["base"], max_new_tokens=12, api_name="/compare")]
    while not jobs[0].outputs():
        running.wait(0.05)
    jobs += [client.submit("The movie was", ["base"], max_new_tokens=2, api_name="/compare") for _ in range(3)]
    errors = [str(job.exception(timeout=60)) for job in jobs]
    assert errors[0] == "None"
    assert any("ueue is full" in error for error in errors)
    blocks.close()


def test_the_server_is_behind_its_gate(address: str) -> None:
    field = httpx.post(f"{address}gradio_api/upload", data={"files": "x" * 5_000_000})
    assert (field.status_code, field.text) == (413, "This is larger than 4 MB: send less.")
    join = httpx.post(f"{address}gradio_api/queue/join", content=b'{"data":["' + b"x" * 9_000_000 + b'"]}')
    assert join.status_code == 413
    for path in ("openapi.json", "gradio_api/openapi.json", "docs", "monitoring/summary"):
        assert httpx.get(address + path).status_code == 404
    page = httpx.get(address, headers={"origin": "http://evil.example", "host": "board.example"})
    assert page.status_code == 200
    assert "access-control-allow-origin" not in page.headers
    assert page.headers["x-content-type-options"] == "nosniff"
    assert httpx.get(f"{address}gradio_api/info").status_code == 200, "what programs read"


def test_the_methods_that_can_be_named_are_listed(address: str) -> None:
    listed = Client(address, verbose=False).predict(api_name="/methods")
    assert {"name": "base", "kind": "base"} in listed
    assert {"name": "lora:verse", "kind": "lora"} in listed
    assert {"name": "pplm:science", "kind": "pplm"} in listed


def test_prompts_are_scored_and_the_run_has_a_link(address: str, lasting: Services) -> None:
    settings = {"max_new_tokens": 4, "samples": 2, "api_name": "/score"}
    job = Client(address, verbose=False).submit(["The movie was", "The sea"], ["base", "lora:verse"], **settings)
    job.result(timeout=60)
    last = job.outputs()[-1]
    assert last["state"] == "done"
    assert (last["done"], last["total"]) == (32, 32)
    assert set(last["table"]["perplexity"]) == {"base", "lora:verse"}
    assert last["table"]["perplexity"]["base"]["value"] > 0
    assert last["table"]["perplexity"]["base"]["difference"] is None
    run = lasting.database.run(last["run"].removeprefix("?run="))
    assert run is not None
    assert run.status == "done"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"prompts": []}, "prompt"),
        ({"prompts": [" "]}, "prompt"),
        ({"prompts": "no list"}, "prompt"),
        ({"methods": []}, "give a list of 1 to"),
        ({"methods": ["lora:nobody"]}, "nobody"),
        ({"methods": ["base", "base"]}, "same name"),
        ({"samples": 1000}, "samples"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_scored_gets_one_line(address: str, arguments: dict[str, Any], said: str) -> None:
    asked = {"prompts": ["The sea"], "methods": ["base"], "max_new_tokens": 2} | arguments
    with pytest.raises(AppError, match=said) as caught:
        Client(address, verbose=False).predict(**asked, api_name="/score")
    assert "\n" not in str(caught.value)


def test_a_run_that_its_program_leaves_is_not_kept(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Run] = []
    real = lasting.runner.add

    def add(*asked: Any) -> Run:
        added.append(real(*asked))
        return added[0]

    monkeypatch.setattr(lasting.runner, "add", add)
    steps = score_endpoint(lasting)(["The sea"], ["base"], max_new_tokens=8)
    next(steps)
    assert lasting.database.run(added[0].id) is not None
    steps.close()  # type: ignore[attr-defined]
    assert lasting.database.run(added[0].id) is None
