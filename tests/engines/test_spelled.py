"""A reply cut into tokens: those that the model wrote, or its text anew."""

from types import SimpleNamespace

import pytest
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from hf_rap.engines.base import Reply, Request
from hf_rap.engines.texts import Texts
from hf_rap.errors import RowError


@pytest.fixture(scope="module")
def texts():
    """A byte-level tokenizer that joins a and b, with two control tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate([*letters, "ab"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<end>", "<box>")])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")
    processor = SimpleNamespace(
        tokenizer=tokenizer, chat_template="{{ messages }}", apply_chat_template=lambda *_args, **_options: "a"
    )
    return Texts(processor, None)


def reply(text, ids=None, prefix=""):
    return Reply(Request("a", "image", [], (), 1, prefix=prefix), text, token_ids=ids)


def spelled(texts, *given, **options):
    tokens, first = texts.spelled(reply(*given, **options))
    return texts.token_texts(tokens)[first:]


def test_text_is_cut_anew_and_kept_tokens_are_not(texts):
    """ "ab" is one token when it is cut; a model that wrote it as two is read by its two."""
    a, b, end = (texts.processor.tokenizer.convert_tokens_to_ids(token) for token in ("a", "b", "<end>"))
    assert spelled(texts, "cab") == ["c", "ab"]
    assert spelled(texts, "ab", (a, b, end)) == ["a", "b"]


def test_control_tokens_of_the_model_are_ordinary_text_where_they_are_cut_anew(texts):
    """A box that the model opened is one token by its ids, and five characters without them."""
    box, a = (texts.processor.tokenizer.convert_tokens_to_ids(token) for token in ("<box>", "a"))
    assert spelled(texts, "<box>a", (box, a)) == ["<box>", "a"]
    assert spelled(texts, "<box>a") == list("<box>a")


def test_a_token_that_joins_prefix_and_text_is_one_of_the_text(texts):
    """As a model would write it; kept tokens stand behind the prefix."""
    a = texts.processor.tokenizer.convert_tokens_to_ids("a")
    assert spelled(texts, "bc", prefix="xa") == ["ab", "c"]
    assert spelled(texts, "a", (a,), prefix="xa") == ["a"]


def test_tokens_of_another_tokenizer_are_refused(texts):
    """They would be other words."""
    with pytest.raises(RowError, match="tokens_changed: the token ids do not spell the reply"):
        texts.spelled(reply("ab", (1, 2)))
