"""The public endpoint /compare, over HTTP, with a fake engine."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]

import demo.page
from demo.parts import words as text
from tests.demo.fakes import TEXTS, FakeEngine, fake_services
from tests.serving import free_port


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    blocks = demo.page.build_app(fake_services())
    yield demo.page.start(blocks, "127.0.0.1", free_port())
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
    names = ["prefix:facts", "base", "lora:poetry+pplm:science"]
    rows = client.predict("The movie was", names, api_name="/compare")
    assert [row["method"] for row in rows] == names
    assert [row["text"] for row in rows] == [TEXTS["prefix"], TEXTS["base"], TEXTS["pplm"]]
    assert all(row["finish_reason"] == "eos" for row in rows)
    assert all(row["perplexity"] > 1 for row in rows)


def test_a_method_steers_by_several_attributes(client: Client) -> None:
    name = "lora:poetry+pplm:science*2+pplm:sentiment:negative*-1"
    (row,) = client.predict("The movie was", [name], api_name="/compare")
    assert (row["method"], row["text"]) == (name, TEXTS["pplm"])
    assert row["attribute_words"] > 0


def test_rows_stream(client: Client) -> None:
    job = client.submit("The movie was", ["base"], max_new_tokens=6, api_name="/compare")
    job.result()
    lengths = [rows[0]["tokens"] for rows in job.outputs()]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == 6


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "  "}, text.NO_PROMPT),
    ({"prompt": {"text": "hi"}}, text.NO_PROMPT),
    ({"prompt": "x" * 30_000}, "30,000 characters"),
    ({"methods": []}, "list of 1 to 6"),
    ({"methods": ["base"] * 7}, "list of 1 to 6"),
    ({"methods": "base"}, "list of 1 to 6"),
    ({"methods": [1]}, "list of 1 to 6"),
    ({"methods": ["nonsense"]}, "Cannot read the method 'nonsense'"),
    ({"methods": ["base", "lora:gone"]}, "lora:gone: There is no LoRA adapter 'gone'"),
    ({"methods": ["pplm:science*nan"]}, "weight: Input should be a finite number"),
    ({"methods": ["base", "pplm:science+pplm:mood:up"]}, "There is no discriminator 'mood'"),
    ({"temperature": -1}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_k": 1e9}, "top_k"),
    ({"max_new_tokens": 10**9}, "max_new_tokens"),
    ({"max_new_tokens": 99}, "need 102 tokens, the context has 100"),
    ({"seed": -1}, "seed '-1'"),
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


def test_a_broken_engine_does_not_tell_its_inner_life(address: str) -> None:
    answer = call(address, "BREAK")
    assert "event: error" in answer
    assert "the engine broke" not in answer


def test_the_queue_cannot_be_passed_by(address: str) -> None:
    for route in ("run/compare", "api/compare", "run/predict"):
        answer = httpx.post(f"{address}gradio_api/{route}", json={"data": ["Hi", ["base"]]})
        assert answer.status_code >= 400, route


def test_nobody_watches(address: str) -> None:
    assert httpx.get(f"{address}gradio_api/monitoring/summary").status_code >= 400
    assert httpx.get(f"{address}config").json()["run_history"] is False


def test_a_full_queue_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.page, "QUEUE_SIZE", 1)
    blocks = demo.page.build_app(fake_services(FakeEngine(delay=0.2)))
    client = Client(demo.page.start(blocks, "127.0.0.1", free_port()), verbose=False)
    running = threading.Event()
    jobs = [client.submit("The movie was", ["base"], max_new_tokens=12, api_name="/compare")]
    while not jobs[0].outputs():
        running.wait(0.05)
    jobs += [client.submit("The movie was", ["base"], max_new_tokens=2, api_name="/compare") for _ in range(3)]
    errors = [str(job.exception(timeout=60)) for job in jobs]
    assert errors[0] == "None"
    assert any("ueue is full" in error for error in errors)
    blocks.close()
