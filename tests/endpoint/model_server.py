"""The small model behind an OpenAI-compatible server on 127.0.0.1."""

import base64
import io

from PIL import Image
from server import FaultyServer, completion_of, send

from hf_rap.demo import demo_engine
from hf_rap.engines.base import Request, Sampling


class ModelServer(FaultyServer):
    """Answers what the built-in model answers, one prompt at a time, as the seed of the request says.

    It continues a last message of the assistant where the request says `continue_final_message`.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.engine = demo_engine()
        self.engine.load()

    def reply(self, request, body, n):
        """What the model says."""
        images, messages = [], []
        for message in body["messages"]:
            parts = message["content"]
            parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
            for part in parts:
                if part["type"] == "image_url":
                    file = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                    images.append(Image.open(io.BytesIO(file)).convert("RGB"))
            kinds = [{"type": "image"} if part["type"] == "image_url" else part for part in parts]
            messages.append({**message, "content": kinds})
        go_on = body.get("continue_final_message") and self.continues == "yes"
        prefix = messages.pop()["content"][0]["text"] if go_on else ""
        asked = Request(str(body["seed"]), "server", messages, tuple(images), attempts=n, prefix=prefix)
        sampling = Sampling(body["temperature"], body.get("top_p", 1.0), 0, body["max_tokens"])
        with self.lock:
            (replies,) = self.engine.complete([asked], sampling)
        texts = [reply.text for reply in replies]
        send(request, 200, completion_of(body, texts, replies[0].tokens, self.prompt_tokens(body)))
