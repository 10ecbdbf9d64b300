"""What nobody has thought of: contents for the readers and whole answers of a server, each in a process of its own."""

import asyncio
import gzip
import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import sys
import threading
import traceback
import zlib
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from hf_rap.engines.base import Completion
from hf_rap.engines.endpoint import EndpointEngine
from hf_rap.engines.endpoint_ask import Ask
from hf_rap.engines.endpoint_client import ask_all
from hf_rap.errors import EngineError, RowError

from .test_readers import CONTENTS, HOSTILE, READERS, reads

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and sizes of a process as Linux has them"),
]

SECONDS, MEGABYTES = 1, 200
EXAMPLES = 300  # of each reader: a minute, since every one has a second


def resident():
    """Megabytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


class Alone:
    """A fork that runs one case after the other, which a second of computing, 30 s of waiting or 2 GB end; then comes a new one."""

    def __init__(self, case):
        self.case, self.child = case, None

    def __call__(self, *arguments):
        """Raises with what the fork has said or what has ended it, three times: a busy processor is no fault of the case."""
        for _ in range(3):
            said = self._once(arguments)
            if not said:
                break
        assert not said, said

    def _once(self, arguments):
        if self.child is None:
            context = multiprocessing.get_context("fork")
            self.pipe, other = context.Pipe()
            self.child = context.Process(target=self._cases, args=(other,), daemon=True)
            self.child.start()
            other.close()
        self.pipe.send(arguments)
        try:
            return self.pipe.recv()
        except EOFError:
            self.child.join()
            said, self.child = f"ended with {self.child.exitcode}", None
            return said

    def _cases(self, pipe):
        self.pipe.close()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30),) * 2)
        while True:
            try:
                arguments = pipe.recv()
            except EOFError:
                os._exit(0)
            before, said = resident(), ""
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(30)
            try:
                self.case(*arguments)
                # The most that it ever held: of a case that is no larger than one before it nothing is seen.
                grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - before
                assert grown < MEGABYTES, f"it took {grown} MB"
            except BaseException:
                said = traceback.format_exc()[-4000:].encode("utf-8", "backslashreplace").decode()
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            pipe.send(said)

    def end(self):
        if self.child is not None:
            self.pipe.close()
            self.child.join(30)


PIECES = st.sampled_from(
    [b"[", b"]", b"{", b"}", b'{"a":', b"(", b")", b'"', b"\\", b"\\u", b"\\ud800", b",", b":", b"1", b"-", b"1e9", b".",
     b"\n", b"\r\n", b" ", b"\t", b"#", b"&a ", b"*a", b"<", b">", b"\0", b"\xff", b"\xef\xbb\xbf", b"'", b"- ", b"? ",
     b"<image>", b"<|im_start|>", b"A. ", b"(A) ", b"\\boxed{", b"$", b"^", b"\\frac", b"not ", b"!!x ", b"%", b"nan"]
)  # fmt: skip
LONG = st.builds(
    lambda head, piece, count, tail: head + piece * (count // len(piece)) + tail,
    st.binary(max_size=8) | PIECES,
    st.lists(PIECES, min_size=1, max_size=3).map(b"".join),
    st.sampled_from([100, 5_000, 100_000, 2_000_000]),
    st.binary(max_size=8) | PIECES,
)
CUT = st.builds(
    lambda content, start, end: content[:300_000][start : len(content) - end],
    st.sampled_from(sorted(HOSTILE)).map(HOSTILE.get),
    st.integers(0, 60),
    st.integers(0, 60),
)
MIXED = st.lists(st.sampled_from([c for c in HOSTILE.values() if len(c) < 5000]) | PIECES, max_size=6).map(b"".join)
ANY = CONTENTS | LONG | CUT | MIXED


def reads_from_a_fresh_folder(reader, content, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    reads(reader, content, folder)


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_in_a_process_of_its_own(tmp_path_factory, reader):
    """No exception but our own, below a second and 200 MB, whatever the content is."""
    folder = tmp_path_factory.mktemp("fuzz") / "case"
    reads_from_a_fresh_folder(reader, b"{}", folder)  # what is loaded on first use is no cost of a case

    alone = Alone(reads_from_a_fresh_folder)

    @hypothesis.given(ANY)
    @hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
    def check(content):
        if reader == "steps":  # each broken line is a row with its error: they take as long as there are many
            content = b"\n".join(content.split(b"\n", 20_000)[:20_000])
        alone(reader, content, folder)

    check()
    alone.end()


@pytest.fixture
def raw_server():
    """A server that sends the very bytes of its `answer`, and hangs up."""

    class Server:
        answer = b""

    made, listening = Server(), socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                asker, _ = listening.accept()
            except OSError:
                return
            try:
                with asker:
                    asker.settimeout(5)
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += asker.recv(65536)
                    asker.sendall(made.answer)
                    asker.shutdown(socket.SHUT_WR)
                    while asker.recv(65536):
                        pass
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    yield made
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def chunked(body):
    """As a body without a length is sent."""
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


FINE = json.dumps({"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}]}).encode()
BODIES = ANY | st.just(FINE) | st.builds(lambda content: FINE[:-1] + b"," + content + b"}", CONTENTS)
PACKED = {
    b"": lambda body: body,
    b"Content-Encoding: gzip\r\n": lambda body: gzip.compress(body, 1),
    b"Content-Encoding: deflate\r\n": lambda body: zlib.compress(body, 1),
    b"Content-Encoding: br\r\n": lambda body: body,
    b"Transfer-Encoding: chunked\r\n": chunked,
    b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n": lambda body: chunked(gzip.compress(body, 1)),
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n": chunked,
    b"Transfer-Encoding: gzip, chunked\r\n": lambda body: chunked(gzip.compress(body, 1)),
    b"Content-Length: 3\r\n": lambda body: body,
    b"Content-Length: -1\r\n": lambda body: body,
    b"Content-Length: 99999999999999\r\n": lambda body: body,
}
HEADERS = st.sampled_from(
    [b"", b"Set-Cookie: a=b; Domain=.com\r\n", b"Location: http://127.0.0.1:9/x\r\n", b"Location: \xff\r\n",
     b"Content-Type: text/event-stream\r\n", b"Content-Type: application/json; charset=utf-7\r\n", b"X: \0\r\n",
     b"Content-Type: text/html; charset=\xff\r\n", b"Retry-After: 1e99\r\n", b"Retry-After: -5\r\n", b"no colon\r\n",
     b"X: " + b"x" * 70_000 + b"\r\n", b"X: y\r\n" * 5_000, b"Location: //[::1\r\n", b"Connection: upgrade\r\n"]
)  # fmt: skip
STARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n"] * 6
    + [b"HTTP/1.1 %d X\r\n" % status for status in (100, 101, 103, 204, 206, 301, 304, 307, 400, 401, 429, 500, 999)]
    + [b"HTTP/1.0 200 OK\r\n", b"HTTP/9.9 200 OK\r\n", b"HTTP/1.1 -1 X\r\n", b"HTTP/1.1 200\r\n", b"ICY 200 OK\r\n", b"", b"\r\n",
       b"HTTP/1.1 200 \x1b[31m\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\n"]
)  # fmt: skip
ANSWERS = st.builds(
    lambda start, header, kind, body: start + header + kind + b"\r\n" + PACKED[kind](body),
    STARTS,
    HEADERS,
    st.sampled_from(list(PACKED)),
    BODIES,
)


def is_asked(url):
    """A reply, the error of this request, or of the whole server: that it refuses the key, or has no such model."""
    engine = EndpointEngine(url, model="m", retries=0)
    ask = Ask(lambda: [{"role": "user", "content": "q"}], {"model": "m", "extra_body": {}}, 1)
    try:
        (answer,) = asyncio.run(ask_all(engine, None, [ask], trial=True))
    except EngineError as error:
        answer = RowError("engine_failed", str(error))
    if isinstance(answer, RowError):
        assert answer.message.isprintable()
        assert len(answer.message) < 2000
        return
    assert all(isinstance(reply, Completion) for reply in answer)


def test_an_answer_in_a_process_of_its_own(raw_server, monkeypatch):
    """Whatever a server sends: start, headers, packing and body."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.0)
    raw_server.answer = b"HTTP/1.1 200 OK\r\n\r\n" + FINE
    is_asked(raw_server.url)

    alone = Alone(is_asked)

    @hypothesis.given(ANSWERS)
    @hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
    def check(answer):
        raw_server.answer = answer
        alone(raw_server.url)

    check()
    alone.end()
