"""A small OpenAI-compatible server on 127.0.0.1 that misbehaves as it is told to.

`faults` is a list of names; each request takes the next one, and when they have run out every request is
answered well. Replies say which prompt and seed they answer, so that tests can see what was sent.
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hf_rap.engines.server_sampling import TRIAL


class FaultyServer:
    """`with FaultyServer(faults=["500", "hang"]) as server: ... server.url, server.bodies`."""

    def __init__(
        self,
        faults=(),
        *,
        draws_n="refuses",
        continues="yes",
        delay=0.0,
        always=None,
        told=None,
        refuses=(),
        own=None,
        port=0,
        later=False,
        reads=False,
    ):
        self.faults = list(faults)
        self.always = always
        self.draws_n = draws_n
        self.continues = continues
        self.delay = delay
        self.told = told or {}  # path -> what a GET gives: JSON, a status, or the URL of somebody else
        self.got = []
        self.reads = reads  # the prompt, and tells how likely its tokens are, as vLLM does
        self.refuses = set(refuses)  # fields that it does not know
        self.own = own or {}  # settings of its own for what a request leaves open
        self.bodies = []
        self.trials = []  # of how it draws, which neither use up faults nor count
        self.headers = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                server.handle(self)

            def do_GET(self):
                server.tell(self)

            def log_message(self, *_args):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # clients that give up are part of the tests

        def listen():
            self.http = Quiet(("127.0.0.1", port), Handler)

        self.listen = listen if later else None  # with `later` another one may have the port until it is entered
        if not later:
            listen()
            port = self.http.server_port
        self.url = f"http://127.0.0.1:{port}/v1"

    def __enter__(self):
        if self.listen is not None:
            self.listen()
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.http.shutdown()
        self.http.server_close()

    def handle(self, request):
        body = json.loads(request.rfile.read(int(request.headers["content-length"])))
        if body["messages"][-1]["content"] == TRIAL and self.always is None:
            self.trials.append(body)
            self.answer(request, body, None)
            return
        with self.lock:
            self.bodies.append(body)
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            fault = self.faults.pop(0) if self.faults else self.always
        try:
            time.sleep(self.delay)
            self.answer(request, body, fault)
        finally:
            with self.lock:
                self.in_flight -= 1

    def tell(self, request):
        """What the server says of itself."""
        self.got.append((request.path, request.headers.get("authorization")))
        told = self.told.get(request.path, 404)
        if isinstance(told, int):
            send(request, told, {"error": "no"})
        elif isinstance(told, str) and told.startswith("http"):
            send(request, 307, {}, {"location": told})
        else:
            send(request, 200, told)

    def answer(self, request, body, fault):
        n = body.get("n", 1)
        unknown = {"n"} if n > 1 and self.draws_n == "refuses" else set()
        unknown |= self.refuses & body.keys()
        unknown |= {"continue_final_message"} & body.keys() if self.continues == "refuses" else set()
        if fault is None and unknown:
            send(request, 422, {"error": f"Unexpected fields in the request: {unknown}"})
        elif fault is None:
            self.reply(request, body, 1 if self.draws_n == "ignores" else n)
        elif fault == "hang":
            time.sleep(5)
        elif fault == "drop":
            request.close_connection = True
            request.connection.close()
        elif fault == "half":
            whole = json.dumps(completion(body, n)).encode()
            request.send_response(200)
            request.send_header("content-type", "application/json")
            request.send_header("content-length", str(len(whole)))
            request.end_headers()
            request.wfile.write(whole[: len(whole) // 2])
            request.close_connection = True
        elif fault == "not json":
            send(request, 200, "<html>Bad gateway</html>")
        elif fault == "wrong json":
            send(request, 200, {"result": "fine"})
        elif fault == "no choices":
            send(request, 200, {**completion(body, n), "choices": []})
        elif fault.startswith("429"):
            send(request, 429, {"error": "slow down"}, {"retry-after": fault.partition(" ")[2] or "0"})
        else:
            token = request.headers.get("authorization", "")
            send(request, int(fault), {"error": {"message": f"the server says {fault} to {token}"}})

    def reply(self, request, body, n):
        """A good answer: n choices."""
        greedy = {**self.own, **body}.get("top_k") == 1
        answer = completion({**body, "seed": 0} if greedy else body, n, same=self.draws_n == "same")
        if greedy:
            answer["usage"]["completion_tokens"] = 30
        answer["usage"]["prompt_tokens"] = self.prompt_tokens(body)
        if self.continues == "does not say":
            answer["usage"] = None
        if body.get("return_token_ids"):  # as vLLM has them
            for choice in answer["choices"]:
                choice["token_ids"] = [ord(letter) for letter in choice["message"]["content"]]
        if self.reads and "prompt_logprobs" in body:
            answer["prompt_logprobs"] = prompt_logprobs(body)
        send(request, 200, answer)

    def prompt_tokens(self, body):
        """Four tokens around every message; those at the end go as the server is told, and understands."""
        count = 4 * len(body["messages"])
        if self.continues != "ignores" and not body.get("add_generation_prompt", True):
            count -= 1
        if self.continues == "yes" and body.get("continue_final_message"):
            count -= 1
        return count


def prompt_logprobs(body):
    """A turn's beginning, then the words of the last message with the space before them; -0.25 nats each with a picture, else -1.5.

    As chat templates of thinking models do, it leaves out thoughts.
    """
    kinds = [part["type"] for part in body["messages"][0]["content"] if isinstance(part, dict)]
    nats = -0.25 if "image_url" in kinds else -1.5
    text = re.sub(r"<think>.*</think>", "", body["messages"][-1]["content"])
    words = ["turn:", *re.findall(r"\s*\S+", text)]
    return [
        None,
        *({str(place): {"logprob": nats, "rank": 1, "decoded_token": word}} for place, word in enumerate(words)),
    ]


def completion(body, n, *, same=False):
    """A chat completion whose text shows the seed, and the kinds of the parts of the prompt."""
    content = body["messages"][0]["content"]
    kinds = "text" if isinstance(content, str) else " ".join(part["type"] for part in content)
    return completion_of(
        body, [f"{kinds} seed {body.get('seed')}" + ("" if same else f" choice {index}") for index in range(n)]
    )


def completion_of(body, texts, tokens=7, prompt_tokens=3):
    """A chat completion with these choices, each of so many tokens."""
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "system_fingerprint": "",
        "choices": [
            {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for index, text in enumerate(texts)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens * len(texts),
            "total_tokens": prompt_tokens + tokens * len(texts),
        },
    }


def send(request, status, content, headers=None):
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    request.send_response(status)
    request.send_header("content-type", "application/json")
    request.send_header("content-length", str(len(body)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
