"""The small model behind an OpenAI-compatible server on 127.0.0.1."""

import base64
import io

from PIL import Image
from server import FaultyServer, completion_of, send

from hf_rap import Request, Sampling
from hf_rap.demo import demo_engine


class ModelServer(FaultyServer):
    """Answers what the built-in model answers; one prompt at a time, as the seed of the request says."""

    def __init__(self, **options):
        super().__init__(**options)
        self.engine = demo_engine()
        self.engine.load()

    def reply(self, request, body, n):
        images, messages = [], []
        for message in body["messages"]:
            parts = []
            for part in message["content"]:
                if part["type"] == "image_url":
                    file = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                    images.append(Image.open(io.BytesIO(file)).convert("RGB"))
                parts.append({"type": "image"} if part["type"] == "image_url" else part)
            messages.append({**message, "content": parts})
        asked = Request(str(body["seed"]), "server", messages, tuple(images), attempts=n)
        sampling = Sampling(body["temperature"], body["top_p"], 0, body["max_tokens"])
        with self.lock:
            (replies,) = self.engine.complete([asked], sampling)
        send(request, 200, completion_of(body, [reply.text for reply in replies], replies[0].tokens))
