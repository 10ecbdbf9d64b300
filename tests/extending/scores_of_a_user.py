"""What a user's own module might hold."""

from hf_rap.columns import Column
from hf_rap.scorers.function import scorer


@scorer(reads=["rap_image_tokens"], writes=[Column("rap_longest", "int32", "tokens of the longest reply")])
def longest(batch):
    return {"rap_longest": [max(tokens) if tokens else None for tokens in batch["rap_image_tokens"]]}
