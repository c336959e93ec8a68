"""The same verbs without an event loop; and what the package may not do."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import modserve.client
from modserve.client import BadInput, Client, ClientClosed, ControllerUnreachable
from modserve.transport import messages as say

from .scripted import Scripted, deltas, greeting_then, hello_world, scripted, silence


def begin(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    controller.say(identity, deltas(word.request_id, 0, [7], "H"))


def test_generate_stream_and_status() -> None:
    with scripted(greeting_then(hello_world)) as controller, Client(controller.endpoint) as client:
        assert client.generate("Hi").text == "Hello world"
        stream = client.stream([{"role": "user", "content": "Hello"}])
        assert "".join(chunk.text for chunk in stream) == "Hello world"
        assert stream.answer.token_ids == (7, 8, 9)
        assert client.status() == {"workers": []}
        assert client.greeting().model == "seven"


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(greeting_then(hello_world)) as controller:
        monkeypatch.setenv("MODSERVE_CONTROLLER", controller.endpoint)
        with Client() as client:
            assert client.generate("Hi").text == "Hello world"
    monkeypatch.delenv("MODSERVE_CONTROLLER")
    client = Client()
    assert client.endpoint == "tcp://127.0.0.1:7700"
    client.close()


@pytest.mark.parametrize("way", ["break", "with", "close"])
def test_leaving_a_stream_early_cancels_its_request(way: str) -> None:
    with scripted(greeting_then(begin)) as controller, Client(controller.endpoint) as client:
        if way == "break":
            for _ in client.stream("Hi"):
                break
        elif way == "with":
            with client.stream("Hi") as stream:
                next(stream)
        else:
            stream = client.stream("Hi")
            next(stream)
            stream.close()
        controller.wait_for(say.Cancel)


def test_ctrl_c_cancels_the_request() -> None:
    with scripted(greeting_then(silence)) as controller, Client(controller.endpoint) as client:

        def interrupt() -> None:
            controller.wait_for(say.Submit)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        presser = threading.Thread(target=interrupt)
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            client.generate("Hi")
        presser.join()
        controller.wait_for(say.Cancel)


def test_several_threads_may_share_a_client() -> None:
    with (
        scripted(greeting_then(hello_world)) as controller,
        Client(controller.endpoint) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        texts = pool.map(lambda _: client.generate("Hi").text, range(64))
        assert set(texts) == {"Hello world"}


def test_streams_begun_together_run_together() -> None:
    with scripted(greeting_then(begin)) as controller, Client(controller.endpoint) as client:
        streams = [client.stream("Hi") for _ in range(3)]
        controller.wait_for(say.Submit, 3)
        for stream in streams:
            assert next(stream).text == "H"
            stream.close()


def test_bad_input_is_told_at_once() -> None:
    client = Client("tcp://127.0.0.1:1")
    with pytest.raises(BadInput, match="max_tokens"):
        client.stream("Hi", max_tokens=0)
    client.close()


def test_nobody_there_leaves_no_thread_behind(free_endpoint: str) -> None:
    with pytest.raises(ControllerUnreachable), Client(free_endpoint, timeout_s=0.3):
        pass
    assert "modserve" not in {thread.name for thread in threading.enumerate()}


def test_a_closed_client_says_so() -> None:
    with scripted(greeting_then(hello_world)) as controller:
        client = Client(controller.endpoint)
        client.generate("Hi")
        client.close()
        client.close()
        with pytest.raises(ClientClosed):
            client.generate("Hi")


def test_a_forgotten_client_ends_with_its_last_use() -> None:
    with scripted(greeting_then(hello_world)) as controller:
        client = Client(controller.endpoint)
        client.generate("Hi")
        del client
        gc.collect()
        assert "modserve" not in {thread.name for thread in threading.enumerate()}


def test_the_client_needs_neither_torch_nor_pillow() -> None:
    code = (
        "import sys, modserve.client; sys.exit(bool({'torch', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_only_the_promised_names_are_public() -> None:
    for name in modserve.client.__all__:
        assert hasattr(modserve.client, name)
