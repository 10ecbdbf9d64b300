"""The page about rap.json: what a version says of itself, the options of the rule among it, and the settings of its evidence."""

from __future__ import annotations

from page_tables import table

from hf_rap.select.base import Settings
from hf_rap.select.method import OPTION_MEANINGS
from hf_rap.select.methods import METHODS
from hf_rap.select.top import TOP

OUTSIDE = {
    "format": ("number", "of this file; a later hf-rap reads it"),
    "version": ("text", "of the dataset, such as 1.0.0"),
    "facts": ("object", "every number on the card; the next table"),
    "files": ("object", "each file with its SHA-256 (`sha256`) and its size (`bytes`)"),
}
FACTS = {
    "name": ("text", "of the dataset"),
    "version": ("text", "of the dataset"),
    "hf_rap": ("text", "version of hf-rap that wrote it"),
    "source": ("object", "id, config, split and revision of the dataset that rows come from"),
    "sources": ("list", "the same of each, where there are several"),
    "licence": ("text", "of the rows; null is not known"),
    "rows": ("object", "`all`, `kept`, and their `share`"),
    "funnel": ("list", "each step with the rows that are in, and those that came in later"),
    "remarks": ("list of texts", "what a reader of the numbers should know"),
    "rule": ("object", "what decided; its options are below"),
    "method": ("object", "what the rule says of itself: sentence, meanings, citations"),
    "reasons": ("list", "each reason with its rows, kept or not, and its meaning"),
    "groups": ("object", "rows and kept rows of each value of a column, such as the source"),
    "corpus": ("object", "of step scores: rollouts, steps, questions"),
    "scores": ("object", "of each score how many are known, quartiles, of all rows and of the kept"),
    "histogram": ("object", "rows by score: all, kept, and those that came in later"),
    "pass_rates": ("object", "rows by pass rate, where a band decides"),
    "hinted": ("list of texts", "columns of questions with hints"),
    "arms": ("object", "of each arm attempts, pass rate, tokens and cut replies"),
    "equal_replies": ("object", "of each arm rows whose long replies are all the same"),
    "adaptive": ("object", "what adaptive attempts made and spared"),
    "probed": ("object", "what a probe left out, and the recall that its audit shows"),
    "grading": ("list", "graders with their version, and how many rows each graded"),
    "errors": ("list", "each error code with its rows"),
    "settings": ("object", "what could change the evidence; its entries are below"),
    "prompts": ("list", "what stood around the questions of the kept rows"),
    "attention": ("object", "how many rows have attention, and what could change it"),
    "ace_settings": ("object", "options that `rap_ace` was computed with"),
    "images_missing": ("number", "images that could not be read when rows were written"),
    "configs": ("object", "of each config rows, sizes and types of columns"),
    "content": ("object", "of each config a hash of what its rows hold"),
    "digests": ("object", "of each config a hash of its rows and decisions"),
    "layout": ("object", "which column is what"),
    "samples": ("list", "rows that the card shows"),
    "examples": ("object", "of each config a row in words"),
    "stability": ("object", "expected overlap with a fresh scoring, and what more attempts would give"),
    "health": ("object", "five shares, with advice where one is out of its bounds"),
}
EVIDENCE = {
    "engine": "transformers, vllm, endpoint, or one of yours",
    "engine_version": "of that engine: rises when the same request can get another reply",
    "model": "as it was named",
    "identity": "what stands behind the name: a commit, or a digest of the files",
    "revision": "of a server's model, as it was told",
    "architecture": "class of the model",
    "processor": "class of the processor",
    "image_processor": "class of the part that reads pictures",
    "processor_options": "such as pixel limits",
    "dtype": "precision of the weights",
    "quantization": "how weights are quantised",
    "attn_implementation": "kernel of the attention",
    "device": "cpu, cuda or auto",
    "batch_size": "rows generated together",
    "trust_remote_code": "code that came with the model was run",
    "allow_missing": "weights that might be missing",
    "adapter": "the LoRA adapter",
    "options": "arguments of vLLM",
    "use_generation_config": "vLLM took penalties of the model's own file",
    "extra_body": "what was added to each request, secrets as digests",
    "endpoint": "version of what asks servers",
    "server": "what it told of itself",
    "concurrency": "requests at once",
    "timeout": "seconds for one request",
    "retries": "further tries of a request",
    "max_reply_bytes": "the longest answer that is read",
    "wait_for_server": "seconds that one that is away is waited for",
    "rollouts": "version of what collects replies",
    "prompt": "what stands around the question",
    "instruction": "what stands behind the question, where that is all",
    "temperature": "of sampling",
    "top_p": "share of probability that tokens are drawn from",
    "top_k": "likeliest tokens that are drawn from; 0 is all",
    "max_new_tokens": "longest reply",
    "seed": "of sampling",
    "verifier": "who graded",
    "verifier_version": "of the grader",
    "cut": "what a cut reply counts as",
    "correct": "reward from which on a reply is solved",
    "torch": "version of the library",
    "transformers": "version of the library",
    "vllm": "version of the library",
    "hf_rap": "version that collected the row",
}
# Of options that `select_cognitive` does not take.
_TYPES = {
    "method": "text",
    "method_version": "text",
    "control": "text",
    "attempts": "list of numbers",
    "text_easiest": "number",
    "text_hardest": "number",
    "min_gain": "number",
    "reward": "text",
    "low": "number",
    "high": "number",
    "middle": "number",
    "sizes": "list of numbers",
    "stage": "text",
    "min_limr": "number",
    "by": "text",
    "ratio": "number",
    "count": "number",
    "per": "text",
    "alpha": "number",
    "lowest": "true or false",
    "max_per_question": "number",
    "drop_duplicates": "true or false",
    "quotas": "text",
    "ties": "text",
}


def manifest_page() -> str:
    """Every entry, with its type and its meaning."""
    outside, facts = ([(f"`{name}`", kind, means) for name, (kind, means) in part.items()] for part in (OUTSIDE, FACTS))
    evidence = [(f"`{name}`", means) for name, means in EVIDENCE.items()]
    return f"""# What rap.json says

Every version has a `rap.json` beside its card ([publishing](../publishing.md#what-is-in-a-version)). Null is unknown, or nothing of the kind.

{_table(("entry", "type", "meaning"), outside)}

## Facts

{_table(("entry of `facts`", "type", "meaning"), facts)}

## Options of the rule

In `facts.rule`, with the numbers that were used; under `asked` they stand as they were asked for, and `by_hand` counts [marks](../selection.md#marks-of-a-person).

{_table(("option", "type", "meaning", "rules"), options())}

## Settings of the evidence

In `facts.settings.shown`, each with its `values`; the columns `rap_settings` have the same row by row. What is named in `not_counted` changes at most rounding or speed.

{_table(("setting", "meaning"), evidence)}
"""


def options() -> list[tuple[str, ...]]:
    """Name, type, meaning and rules of every option that a rule remembers."""
    methods = (*METHODS.values(), TOP)
    meanings: dict[str, dict[str, list[str]]] = {}
    for method in methods:
        for name, means in {**OPTION_MEANINGS, **method.meanings}.items():
            meanings.setdefault(name, {}).setdefault(means, []).append(f"`{method.name}`")
    return [
        (f"`{name}`", _type(name), means, "all" if len(rules) == len(methods) else ", ".join(rules))
        for name, by_meaning in meanings.items()
        for means, rules in by_meaning.items()
    ]


def _type(name: str) -> str:
    if name in _TYPES:
        return _TYPES[name]
    words = Settings.__annotations__[name].split(" | ")
    named = {"float": "number", "int": "number", "str": "text", "bool": "true or false", "None": "null"}
    shown = [named.get(word, "rows of each value" if word.startswith("Mapping") else "") for word in words]
    return " or ".join(dict.fromkeys(word for word in shown if word))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(table(head, rows))
