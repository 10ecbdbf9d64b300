"""Answers of a server, whatever it sends: an odd one is the error of that request, never the end of the run."""

import asyncio
import gzip
import json
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hypothesis
import pytest
from hypothesis import strategies as st

from hf_rap.engines.base import Request, Sampling
from hf_rap.engines.endpoint import EndpointEngine
from hf_rap.engines.endpoint_answer import OddError, RefusedError, read_answer
from hf_rap.engines.endpoint_ask import Ask
from hf_rap.engines.endpoint_client import ask_all
from hf_rap.engines.endpoint_facts import server_facts
from hf_rap.errors import EngineError, RowError
from hf_rap.options import ForeignError, read_json

KEY = "hf_CANARYkeyCANARY"
FINE = {
    "choices": [{"message": {"content": "4"}, "finish_reason": "stop"}],
    "usage": {"completion_tokens": 3, "prompt_tokens": 9},
}


def with_(**changes):
    """A fine answer with other fields."""
    return json.dumps({**FINE, **changes}).encode()


def choice(**changes):
    return with_(choices=[{**FINE["choices"][0], **changes}])


@pytest.fixture
def server():
    """A server that answers every request as its `answer` (status, headers, body or pieces) says; it notes what it is asked."""

    class Says(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            length = int(self.headers.get("content-length") or 0)
            made.asked.append((self.path, self.headers.get("authorization"), self.rfile.read(length)))
            status, headers, body = made.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, bytes):
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("connection", "close")
            self.end_headers()
            try:
                for piece in body():
                    self.wfile.write(piece)
            except OSError:
                made.hung_up = True
            self.close_connection = True

        do_GET = do_POST

        def log_message(self, *args):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Says)
    made.answer, made.asked, made.hung_up = (200, {}, with_()), [], False
    made.url = f"http://127.0.0.1:{made.server_port}/v1"
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.0)


def asked(server, **options):
    """What one request becomes."""
    engine = EndpointEngine(server.url, model="m", retries=1, **options)
    ask = Ask(lambda: [{"role": "user", "content": "secret question"}], {"model": "m", "extra_body": {}}, 1)
    (answer,) = asyncio.run(ask_all(engine, KEY, [ask], trial=True))
    return answer


def test_a_fine_answer_is_read(server):
    """What the others differ from."""
    (reply,) = asked(server)
    assert (reply.text, reply.tokens, reply.prompt_tokens, reply.truncated) == ("4", 3, 9, False)
    path, authorization, body = server.asked[0]
    assert (path, authorization) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert json.loads(body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "secret question"}],
        "stream": False,
    }


ODD = {
    "half_a_character_in_a_name": b'{"\\udfff": 1, "choices": []}',
    "deep_lists": b"[" * 200_000,
    "deep_objects": b'{"a":' * 100_000,
    "deep_but_whole": b"[" * 500 + b"]" * 500,
    "no_json": b"<html>busy</html>",
    "nothing": b"",
    "null": b"null",
    "a_list": b"[]",
    "a_number": b"7",
    "not_utf8": b'{"choices": "\xff\xfe"}',
    "nan": b'{"choices": [{"message": {"content": "4"}}], "usage": {"completion_tokens": NaN}}',
    "infinity": b'{"choices": [{"message": {"content": "4"}}], "usage": {"completion_tokens": 1e999}}',
    "long_number": b'{"choices": [{"message": {"content": "4"}}], "usage": {"completion_tokens": '
    + b"9" * 6000
    + b"}}",
    "no_choices": with_(choices=[]),
    "choices_null": with_(choices=None),
    "choices_a_text": with_(choices="4"),
    "choices_an_object": with_(choices={"0": 1}),
    "choice_null": with_(choices=[None]),
    "choice_a_list": with_(choices=[[]]),
    "no_message": with_(choices=[{}]),
    "message_a_text": choice(message="4"),
    "content_a_number": choice(message={"content": 4}),
    "content_a_list": choice(message={"content": [{"text": "4"}]}),
    "content_an_object": choice(message={"content": {}}),
    "thought_a_list": choice(message={"content": "4", "reasoning": ["a"]}),
    "reason_a_list": choice(finish_reason=["length"]),
    "usage_a_list": with_(usage=[3]),
    "usage_a_text": with_(usage="3"),
    "tokens_a_text": with_(usage={"completion_tokens": "3"}),
    "tokens_below_0": with_(usage={"completion_tokens": -1}),
    "tokens_a_half": with_(usage={"completion_tokens": 2.5}),
    "tokens_true": with_(usage={"completion_tokens": True}),
    "tokens_huge": with_(usage={"completion_tokens": 2**63}),
    "prompt_tokens_a_list": with_(usage={"prompt_tokens": [1]}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_the_error_of_its_request(server, name):
    """Tried again, then the row's, in one line."""
    server.answer = (200, {}, ODD[name])
    answer = asked(server)
    assert isinstance(answer, RowError)
    assert answer.code == "engine_failed"
    assert answer.message.startswith("the server's answer ")
    assert answer.message.endswith(", 2 times")
    assert answer.message.isprintable()
    assert len(server.asked) == 2


def test_two_replies_for_one_are_refused(server):
    """Which is which nobody knows."""
    server.answer = (200, {}, with_(choices=FINE["choices"] * 2))
    assert str(asked(server)) == "engine_failed: the server sent 2 replies, asked for 1"


@pytest.mark.parametrize("ids", [None, "1 2", [1, "2"], [1.5], [True], [-1], [2**40], [[1]], {"a": 1}])
def test_odd_token_ids_are_none(server, ids):
    """The reply is good without them."""
    server.answer = (200, {}, choice(token_ids=ids))
    (reply,) = asked(server)
    assert (reply.text, reply.token_ids) == ("4", None)


def zeros(count):
    def pieces():
        for _ in range(count):
            yield bytes(1 << 20)

    return pieces


def packed(kind):
    """100 MB of spaces in about 100 KB."""
    body = b" " * 100_000_000 + with_()
    return gzip.compress(body, 1) if kind == "gzip" else zlib.compress(body, 1)


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        ({}, zeros(3000), "has more than 1,000,000 bytes (--max-reply-bytes)"),
        ({"content-encoding": "gzip"}, packed("gzip"), "has more than 1,000,000 bytes (--max-reply-bytes)"),
        ({"content-encoding": "deflate"}, packed("deflate"), "has more than 1,000,000 bytes (--max-reply-bytes)"),
        ({"content-encoding": "br"}, b"x", "is packed in a way that was not asked for"),
        ({"content-encoding": "zstd"}, b"x", "is packed in a way that was not asked for"),
        ({"content-encoding": "gzip, gzip"}, b"x", "is packed in a way that was not asked for"),
        ({"content-encoding": "gzip"}, b"no gzip", "is packed, and broken"),
    ],
)
def test_a_large_answer_is_not_taken_in(server, headers, body, message):
    """Neither as it comes nor unpacked: the rest of it is not even read."""
    server.answer = (200, headers, body)
    answer = asked(server, max_reply_bytes=1_000_000)
    assert isinstance(answer, RowError)
    assert message in answer.message


def test_a_packed_answer_is_read(server):
    """Servers behind a proxy pack what they send."""
    server.answer = (200, {"content-encoding": "gzip"}, gzip.compress(with_()))
    assert asked(server)[0].text == "4"


def test_the_body_of_an_error_is_cut(server):
    """However long it is; what steers a terminal is spelled out, the key masked."""
    server.answer = (400, {}, f"\x1b[31m\u202e{KEY} ".encode() + b"x" * 5_000_000)
    answer = asked(server)
    assert answer.message.startswith(r"the server answered 400: \x1b[31m\u202e*** xxx")
    assert len(answer.message) < 600


def test_an_endless_error_is_cut(server):
    """Without a length, too."""
    server.answer = (500, {}, zeros(3000))
    assert asked(server).message.startswith("the server answered 500: ")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_else_gets_a_request(server, listener, status):
    """The error says where it was sent on to, without path, name and password."""
    url, seen = listener
    target = url.replace("http://", "http://me:secret@") + "/inner?token=1"
    server.answer = (status, {"location": target}, b"")
    answer = asked(server)
    assert seen == []
    assert f"sends requests on to {url} ({status}), which is not followed" in answer.message
    assert "secret" not in answer.message
    assert "inner" not in answer.message


def test_the_same_server_may_send_on_to_itself(server):
    """For a slash at the end; not for ever."""
    server.answer = (307, {"location": "/v1/chat/completions/"}, b"")
    answer = asked(server)
    assert "again and again (307)" in answer.message
    assert len(server.asked) == 3


def test_a_reply_that_repeats_the_key_does_not_keep_it(server):
    """Replies are published."""
    server.answer = (200, {}, choice(message={"content": f"the key is {KEY}"}))
    assert asked(server)[0].text == "the key is ***"


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda key: "".join(f"%{ord(letter):02X}" for letter in key), id="address"),
        pytest.param(lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key), id="json"),
        pytest.param(lambda key: "".join(f"&#{ord(letter)};" for letter in key), id="html"),
        pytest.param(lambda key: key[:3] + f"\\\\u{ord(key[3]):04X}" + key[4:], id="one_letter_twice"),
    ],
)
def test_an_error_that_spells_the_key_otherwise_does_not_keep_it(server, spelled):
    """Frameworks quote what they repeat."""
    server.answer = (400, {}, f'{{"error": "no {spelled(KEY)}."}}'.encode())
    assert "no ***." in asked(server).message


@pytest.mark.parametrize("key", ["a\nb", "a b", "a\r\nX-Evil: 1", "schlüssel", "a\0b", "\x1b[31m"])
def test_a_key_that_is_none_is_refused_before_anything_is_sent(server, monkeypatch, key):
    """And not repeated."""
    monkeypatch.setattr("os.environ", {"KEY": key, "PATH": ""})
    engine = EndpointEngine(server.url, model="m", token_env="KEY")
    with pytest.raises(EngineError, match="holds a line break, a space or another character") as caught:
        engine.complete([Request("r", "image", [{"role": "user", "content": []}], (), 1)], Sampling())
    assert key not in str(caught.value)
    assert all(path != "/v1/chat/completions" for path, _, _ in server.asked)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"data": [{"id": "m", "max_model_len": NaN}]}',
        b'{"data": [{"id": "m", "owned_by": "\\u001b[31m' + KEY.encode() + b'"}]}',
        b'{"data": [{"id": "m", "owned_by": "' + b"x" * 100_000 + b'"}]}',
        b'{"data": "m", "version": []}',
        b'{"data": [7, null, {"id": "m", "root": "/home/me/CANARY-path/weights"}]}',
        b'{"data": [{"id": "m", ' + b", ".join(b'"k%d": 1' % number for number in range(2000)) + b"}]}",
    ],
)
def test_what_a_server_tells_of_itself_fits_on_a_card(server, body):
    """Plain values, short, printable, without key or folder."""
    server.answer = (200, {}, body)
    facts = asyncio.run(server_facts(server.url, "m", KEY))
    text = json.dumps(facts, allow_nan=False)
    assert len(text) < 5000
    assert KEY not in text
    assert "CANARY-path" not in text
    assert all(value.isprintable() for value in facts.values() if isinstance(value, str))


def test_a_server_that_drips_its_facts_is_left_alone(server, monkeypatch):
    """A byte now and then would go on for days."""
    monkeypatch.setattr("hf_rap.engines.endpoint_facts._TIMEOUT", 0.3)

    def drip():
        for _ in range(100):
            time.sleep(0.05)
            yield b" "

    server.answer = (200, {}, drip)
    started = time.monotonic()
    asyncio.run(server_facts(server.url, "m", None))
    assert time.monotonic() - started < 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["choices", "message", "content", "usage", "completion_tokens", "a"]), inner)
    ),
    max_leaves=20,
)


@hypothesis.given(JSON)
def test_no_answer_escapes(value):
    """A completion, or one of the two errors of an answer."""
    try:
        answer = read_json(json.dumps(value))
        read_answer(answer, Ask(list, {}, 1), str)
    except (ForeignError, OddError, RefusedError):
        return


@hypothesis.given(st.binary(max_size=300) | st.text(max_size=100))
def test_no_json_escapes(text):
    """A dictionary, or `ForeignError`."""
    try:
        value = read_json(text)
    except ForeignError:
        return
    assert isinstance(value, dict)
