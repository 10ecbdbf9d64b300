"""Facts -> the card of a dataset: metadata for the Hub and a text for people.

Everything that comes from data (names, reasons, settings) is escaped by default: what is printed in
the template passes through `_print`, and only what this file marks as `_Markdown` stays as it is.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hf_rap.columns import BIS, CONTROLS, DECISIONS, OTHER_SCORES, SCORES, STEPS
from hf_rap.exports.universal import UNIVERSAL
from hf_rap.rows.compat import add_dataset_info
from hf_rap.rows.parquet import shard_name
from hf_rap.rows.presets import name_of
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.select.again import options_of
from hf_rap.select.method import PROCESS_REWARDS
from hf_rap.select.methods import describe_method
from hf_rap.stats.cut import many_cut
from hf_rap.stats.equal import many_equal
from hf_rap.stats.health import WORDS as HEALTH_WORDS
from hf_rap.stats.settings import BUILT_IN, CORRECT, CUT, UNVERSIONED

from .configs import CONTROL, SCORED, SELECTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jinja2 import Template

UNKNOWN = "unknown"
MAX_CHARS = 500
# The Hub refuses larger metadata with 413; the files have the types as well.
MAX_TYPES_BYTES = 500_000
# Of a question or an answer among the rows to look at.
MAX_SAMPLE_CHARS = 240
# More than this many different settings are only counted.
MAX_SETTINGS = 5
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


_CUT_MEANS = {
    "wrong": "counts as wrong",
    "unknown": "counts as unknown",
    "graded": "is graded on what is there",
}

_PLAIN_CODE = re.compile(r"[\w ./:;,=+\-@%()'?!]+")
# What may have a meaning in Markdown or HTML. An underscore has none between letters, a dash none inside a line.
_SPECIAL = re.compile(r"""[^\w \-.,;:=+/()%'"?]|(?<![^\W_])_|_(?![^\W_])""")
_SPECIAL_IN_CODE = re.compile(r"""[^\w \-.,;:=+/()%'"?{}]|_""")
_ARXIV = re.compile(r"\b\d{4}\.\d{5}\b")
_HUB = "https://huggingface.co"


# What renderers make a link of by itself; a comment within is nothing to see, and no link any more.
_LINK = re.compile(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?=&#64;)")
_NO_LINK = "<!-- -->"
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.\-]*")
_HUB_ID = re.compile(r"[\w.\-]+/[\w.\-]+", re.ASCII)
# What the demo calls its rows: the line of `hf_rap.demo` that makes them.
_PLANTED = re.compile(r"make_planted\(\d+, seed=\d+\)", re.ASCII)


def render_card(facts: Mapping[str, Any]) -> str:
    """The text of README.md. Depends on `facts` alone: no clock, no network.

    Args:
        facts: from `hf_rap.versions.facts.collect_facts`, or the same read back from JSON.

    """
    settings = facts["settings"] or {"different": 0, "shown": []}
    # Facts of versions from before methods told of themselves have nothing to say here.
    method = facts.get("method") or describe_method(facts["rule"], _columns(facts))
    model = settings["shown"][0]["values"].get("model") if settings["different"] == 1 else None
    options = options_of(facts["rule"], method["function"])
    prompts = facts.get("prompts") or []
    body = _template().render(
        facts=facts,
        method=method,
        sentence=_sentence(method["sentence"], model),
        process_rewards=method["data"] == PROCESS_REWARDS,
        settings=settings,
        # One set of settings names one model; mixed ones name none.
        rule=_rule(facts["rule"], method["meanings"]),
        control=CONTROLS.get(facts["rule"].get("control")),
        universal={name: _Markdown(meaning) for name, meaning in UNIVERSAL.items()},
        added=[column for column in (*SCORES, *OTHER_SCORES) if facts["scores"].get(column.name)] + [*DECISIONS],
        # Facts of versions from before there was attention have neither.
        attention=facts.get("attention"),
        grading=facts.get("grading"),
        built_in=BUILT_IN,
        unversioned=UNVERSIONED,
        cut_means=_CUT_MEANS,
        many_cut=many_cut(facts["arms"]),
        asked_on_text=_is_asked_on_text(facts),
        # Facts of versions from before equal replies were counted have none.
        equal_replies=facts.get("equal_replies") or {},
        many_equal=many_equal(facts.get("equal_replies") or {}),
        ace_settings=facts.get("ace_settings"),
        ace_options=_ace_options(facts.get("ace_settings")),
        load=_load_calls(facts),
        planted=_planted(facts),
        sources=facts.get("sources"),
        stage={"stage_one": ".one", "stage_two": ".two"}.get(facts["rule"].get("stage"), ""),
        select_options=options,
        rollouts=_rollouts(facts, settings),
        prompts=[_prompt(asked) for asked in prompts],
        system_turn=any(asked["prompt"].get("system") or asked["prompt"].get("keep_system") for asked in prompts),
        verl_words=[
            shlex.quote(f"+data.apply_chat_template_kwargs.{name}={json.dumps(value)}")
            for name, value in (prompts[0]["prompt"] if prompts else {}).get("chat_template_kwargs", {}).items()
        ],
        max_settings=MAX_SETTINGS,
        hub=facts.get("hub"),
        shards=_shards(facts),
        samples=_samples(facts),
        meanings={reason["reason"]: reason["meaning"] for reason in facts["reasons"]},
        examples={name: _example(row) for name, row in (facts.get("examples") or {}).items()},
        links=_links(facts, model),
        papers=_papers(method["citations"]),
        versions=facts.get("versions") or [],
        cite_as=_cite_as(facts),
        too_many_names=has_too_many_names(facts),
        since=facts.get("since"),
        withdrawn=facts.get("withdrawn") or {},
        has_control=CONTROL in (facts.get("configs") or {}),
        stability=facts.get("stability"),
        health=facts.get("health"),
        health_words=HEALTH_WORDS,
        reselect=_reselect_command(facts, method["function"], options),
    )
    return f"---\n{_metadata(facts)}\n---\n\n{body.strip()}\n"


def _metadata(facts: Mapping[str, Any]) -> str:
    from huggingface_hub import DatasetCardData

    rows = facts["rows"]["kept"]
    described = facts.get("configs") or {SELECTED: None, SCORED: None}
    data = DatasetCardData(
        **_licence(facts["licence"]),
        pretty_name=_one_line(facts["name"]),
        source_datasets=_on_the_hub(facts),
        task_categories=["visual-question-answering", "image-text-to-text"],
        size_categories=next((name for limit, name in SIZES if rows < limit), "n>10M"),
        tags=["hf-rap", "data-selection", "reasoning"],
        configs=[
            {
                "config_name": config,
                **({"default": True} if config == SELECTED else {}),
                **_digest(facts, config),
                "data_files": [{"split": "train", "path": f"{config}/train-*.parquet"}],
            }
            for config in described
        ],
    )
    if facts.get("configs") and not has_too_many_names(facts):
        _add_dataset_info(data, facts["configs"])
    text: str = data.to_yaml()
    return text


def has_too_many_names(facts: Mapping[str, Any]) -> bool:
    """The types of the columns, with the names of their classes, are more than the metadata of a README can hold."""
    described = facts.get("configs") or {}
    if facts.get("types_left_out"):  # the Hub has said so
        return True
    return sum(len(json.dumps(config["features"])) for config in described.values()) > MAX_TYPES_BYTES


def _add_dataset_info(data: Any, configs: Mapping[str, Any]) -> None:
    """Types and row counts, which the viewer of the Hub and `load_dataset` check the files against."""
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo

    infos = {
        name: DatasetInfo(
            features=Features.from_dict(config["features"]),
            splits=SplitDict(
                {"train": SplitInfo("train", num_bytes=config["memory_bytes"], num_examples=config["rows"])}
            ),
            download_size=config["bytes"],
            dataset_size=config["memory_bytes"],
        )
        for name, config in configs.items()
    }
    add_dataset_info(data, infos)


def _digest(facts: Mapping[str, Any], config: str) -> dict[str, str]:
    """A description that changes with the data.

    The cache of `datasets` knows a local folder by its name and this metadata, not by its files:
    without it, `load_dataset` on another folder of the same name gives the rows of the first one.
    """
    digest = facts.get("digests", {}).get(config)
    return {"description": f"content {digest}"} if digest else {}


def _on_the_hub(facts: Mapping[str, Any]) -> list[str] | None:
    sources = facts.get("sources") or [facts["source"]]
    ids = [
        source["id"]
        for source in sources
        if source["id"] and not str(source["revision"]).startswith("sha256:") and _HUB_ID.fullmatch(source["id"])
    ]
    return ids or None


def _licence(licence: str | None) -> dict[str, Any]:
    """The Hub knows licences by short ids; any other text is the name of one it does not know."""
    if licence is None:
        return {}
    name = _one_line(licence).lower()
    if _LICENCE_ID.fullmatch(name):
        return {"license": name}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name).strip("-") or "other"}


def _rule(rule: Mapping[str, Any], meanings: Mapping[str, str]) -> list[dict[str, Any]]:
    """Option, value, meaning; with what was asked for where a number was derived from it."""
    requested = rule.get("asked", {})
    return [
        {
            "option": name,
            "value": value,
            "asked": requested[name] if name in requested and value is not None and requested[name] != value else None,
            "meaning": meanings.get(name, ""),
        }
        for name, value in rule.items()
        if name not in ("asked", "attempts")
    ]


def _columns(facts: Mapping[str, Any]) -> list[str]:
    """The columns that there were, as far as the facts show; only process-reward data has a bis."""
    scores = [name for name, summary in facts["scores"].items() if summary is not None]
    return [*scores, STEPS.name] if BIS.name in scores else scores


def _sentence(text: str, model: str | None) -> _Markdown:
    """What the rows are; names between backticks become code."""
    text = text.replace("{model}", f"`{model.replace('`', '')}`" if model else "the model")
    parts = text.split("`")
    return _Markdown("".join(_code(part) if place % 2 else _print(part) for place, part in enumerate(parts)))


def _load_calls(facts: Mapping[str, Any]) -> Any:
    """What loads the rows; of a mixture for each of its sources by name, in the order in which they were mixed."""
    if not facts.get("sources"):
        return _load_call(facts["source"])
    calls = {part["name"]: _load_call(part) for part in facts["sources"]}
    return {name: calls[name] for name in facts["source"]["id"].split(" + ") if name in calls}


def _planted(facts: Mapping[str, Any]) -> _Markdown | None:
    """The line that makes the rows of the demo; None for any other rows."""
    made = _PLANTED.fullmatch(str(facts["source"]["id"]))
    return _Markdown(made[0]) if made else None


def _load_call(source: Mapping[str, Any]) -> str | None:
    """The text that `hf_rap.load_source` takes; local files are pinned by hash, which is no part of it."""
    if source["id"] is None:
        return None
    revision = source["revision"]
    pinned = revision if revision and not revision.startswith("sha256:") else None
    marks = ((":", source["config"]), ("@", pinned), ("#", source["split"]))
    return str(source["id"]) + "".join(mark + part for mark, part in marks if part)


def _shards(facts: Mapping[str, Any]) -> list[str]:
    """The files of `selected`, for trainers that take neither a config nor a folder."""
    count = ((facts.get("configs") or {}).get(SELECTED) or {}).get("shards", 0)
    return [f"{SELECTED}/{shard_name(number, count)}" for number in range(count)]


def _links(facts: Mapping[str, Any], model: str | None) -> dict[str, _Markdown]:
    """Pages of the Hub, by what they are of; only of what is there."""
    links = {}
    hub = facts.get("hub")
    if hub:
        page = f"{_HUB}/datasets/{hub['id']}"
        links["this version"] = _link(f"{hub['id']} {hub['tag']}", f"{page}/tree/{hub['tag']}")
        links["all versions"] = _link("files and versions", f"{page}/tree/main")
    sources = [_link(name, f"{_HUB}/datasets/{name}") for name in _on_the_hub(facts) or []]
    if sources:
        links["source"] = _Markdown(", ".join(sources))
    if model and not _is_local(facts, model):
        links["model"] = _link(model, f"{_HUB}/{model}")
    return links


def _is_local(facts: Mapping[str, Any], model: str) -> bool:
    """The model is a folder, of which only the name is told."""
    (group, *_) = facts["settings"]["shown"]
    return str(group["values"].get("identity")).startswith("files:") or not _HUB_ID.fullmatch(model)


def _link(text: str, url: str) -> _Markdown:
    return _Markdown(f"[{_print(text)}]({url})")


def _papers(citations: Iterable[Mapping[str, str]]) -> list[_Markdown]:
    """Links to the papers that are cited, on arXiv and on the Hub, which shows this dataset there."""
    texts = " ".join(citation["bibtex"] for citation in citations)
    return [
        _Markdown(f"[arXiv {number}](https://arxiv.org/abs/{number}) ([on the Hub]({_HUB}/papers/{number}))")
        for number in dict.fromkeys(_ARXIV.findall(texts))
    ]


def _cite_as(facts: Mapping[str, Any]) -> str | None:
    """How to cite the dataset itself; None for one that is on no Hub. Without a year, which no fact tells."""
    hub = facts.get("hub")
    if hub is None:
        return None
    key = re.sub(r"[^a-z0-9]+", "_", f"{hub['id']} {hub['tag']}".lower())
    return (
        f"@misc{{{key},\n  title={{{hub['id']}, version {facts['version']}}},\n  author={{{hub['id'].partition('/')[0]}}},\n"
        f"  publisher={{Hugging Face}},\n  howpublished={{\\url{{{_HUB}/datasets/{hub['id']}/tree/{hub['tag']}}}}}\n}}"
    )


def _samples(facts: Mapping[str, Any]) -> dict[str, list[Any]] | None:
    rows = facts.get("samples")
    if rows is None:
        return None
    return {
        "kept": _in_turns([row for row in rows if row["kept"]]),
        "dropped": _in_turns([row for row in rows if not row["kept"]]),
    }


def _in_turns(rows: list[Any]) -> list[Any]:
    """The first row of every reason, then the second of every reason, ..."""
    turns: Counter[str] = Counter()
    ordered: list[tuple[int, int, Any]] = []
    for row in rows:
        ordered.append((turns[row["reason"]], len(ordered), row))
        turns[row["reason"]] += 1
    return [row for *_, row in sorted(ordered, key=lambda entry: entry[:2])]


def _example(row: Mapping[str, Any]) -> _Markdown:
    """A row inside a fenced block of JSON, which no text of it can end."""
    text = json.dumps(row, indent=2, ensure_ascii=False)
    text = "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
    return _Markdown(text.replace("`", "\\u0060").replace("<!--", "\\u003c!--"))


def _reselect_command(facts: Mapping[str, Any], function: str, options: Mapping[str, Any]) -> str | None:
    """The command that makes the same decision again; None for a version that is on no Hub."""
    hub = facts.get("hub")
    if hub is None or function != "select_cognitive":
        return None
    words = ["hf-rap", "reselect", hub["id"], facts["version"], "--dry-run"]
    for name, value in options.items():
        if name == "replace_easy":
            words.append("--replace-easy" if value else "--keep-easy")
        elif value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _rollouts(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments of the engine and of `Rollouts`, if there is one set of settings and it says them all."""
    if settings["different"] != 1:
        return None
    values = settings["shown"][0]["values"]
    names = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")
    arms = [arm for arm in facts["arms"].values() if arm]
    attempts = {count["attempts"] for arm in arms for count in arm["attempts_per_row"]}
    if (
        values.get("engine") != "transformers"
        or len(attempts) != 1
        or not all(name in values for name in ("model", "instruction", *names))
    ):
        return None
    prompt = PromptTemplate.from_settings(values)
    assert prompt is not None
    engine = {name: values.get(name) for name in ("revision", "dtype", "adapter")}
    (grading, *_) = facts.get("grading") or [{}]
    usual = {"correct": CORRECT, "cut": CUT[0]}
    return {
        "grader": grading if grading.get("verifier", BUILT_IN) != BUILT_IN else None,
        "model": values["model"],
        "model_is": "ours" if _is_ours(values) else "local" if _is_local(facts, str(values["model"])) else "on the Hub",
        "engine": {name: value for name, value in engine.items() if value is not None},
        "options": {
            "attempts": attempts.pop(),
            **{name: values[name] for name in names},
            "prompt": name_of(prompt) or prompt,
            **{name: grading[name] for name in usual if grading.get(name, usual[name]) != usual[name]},
            **({"attention": True} if facts.get("attention") else {}),
            **({} if _is_asked_on_text(facts) else {"arm": "image"}),
        },
    }


def _is_asked_on_text(facts: Mapping[str, Any]) -> bool:
    """Some row has attempts on the text alone."""
    return bool((facts["arms"]["text"] or {}).get("rows"))


def _is_ours(values: Mapping[str, Any]) -> bool:
    """The model is the small one that comes with hf-rap."""
    is_plain = re.fullmatch(r"[\w\-]+", str(values["model"])) is not None
    folder = files("hf_rap") / "demo" / str(values["model"])
    return is_plain and str(values.get("identity")).startswith("files:") and (folder / "config.json").is_file()


def _prompt(group: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt in words, and its kept rows."""
    prompt, name = group["prompt"], group["name"]
    words = {"system": "a system turn", "prefix": "before the question", "suffix": "behind the question"}
    words["chat_template_kwargs"] = "for the chat template"
    parts = [f"{phrase} {_code(prompt[part])}" for part, phrase in words.items() if part in prompt]
    parts += ["the row's own system turn"] if prompt.get("keep_system") else []
    return {
        "name": _Markdown(f"the prompt {_code(name)}" if name else "a prompt of the publisher's own"),
        "parts": _Markdown(", ".join(parts) or "the question alone"),
        "rows": group["rows"],
    }


def _ace_options(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Arguments of `ACEScore`, if all rows were scored with the same."""
    if settings is None or settings["different"] != 1:
        return None
    values = settings["shown"][0]["values"]
    names = ("form", "sigma", "heads", "attempts", "min_column")
    if not all(name in values for name in names):
        return None
    return {name: values[name] for name in (*names, "normalise", "part") if name in values}


# Printing


class _Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


@lru_cache(maxsize=1)
def _template() -> Template:
    import jinja2

    # No autoescape: it knows HTML only, and `_print` escapes more.
    environment = jinja2.Environment(  # noqa: S701 - Markdown, not HTML: the filters escape it
        finalize=_print,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code=_code,
        code_tag=_code_tag,
        python=_python,
        percent=_percent,
        value=_value,
        shell=_shell,
        short=_short,
        markdown=_Markdown,
        bibtex=_bibtex,
    )
    return environment.from_string(files(__package__).joinpath("templates/card.md").read_text(encoding="utf-8"))


def _print(value: Any) -> str:
    """What `{{ value }}` prints."""
    if isinstance(value, _Markdown):
        return value
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _decimal(value)
    return _LINK.sub(_NO_LINK, _SPECIAL.sub(_entity, _one_line(str(value))))


def _entity(match: re.Match[str]) -> str:
    """An entity is never markup, unlike the character that it stands for."""
    return f"&#{ord(match[0])};"


def _decimal(value: float) -> str:
    """Three digits after the point, more for what is smaller; never 0 for what is not."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if value == 0 or abs(value) >= 0.001 else f"{value:.1g}"


def _percent(share: float | None) -> _Markdown:
    return _Markdown(UNKNOWN if share is None else f"{100 * share:.1f} %")


def _bibtex(entry: str) -> _Markdown:
    """Inside a fence, which it cannot end; nor is a comment of HTML begun."""
    return _Markdown(entry.strip().replace("```", "'''").replace("<!--", "<!- -"))


def _code(value: Any) -> _Markdown:
    """As a code span, also inside a table. Numbers of JSON print as they are there."""
    if value is None:
        return _Markdown(UNKNOWN)
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=False)
    text = _one_line(text)
    if not text.strip():
        return _Markdown("`(empty)`")
    if _PLAIN_CODE.fullmatch(text):
        return _Markdown(f"`{text}`")
    # A code span cannot hold every text, a code element can.
    return _Markdown(f"<code>{_SPECIAL_IN_CODE.sub(_entity, text)}</code>")


def _code_tag(value: Any) -> _Markdown:
    """The same where there is HTML around it, in which Markdown means nothing."""
    return _Markdown(f"<code>{_SPECIAL_IN_CODE.sub(_entity, _one_line(str(value)))}</code>")


def _value(value: Any) -> _Markdown:
    """An option: None means that it is not used."""
    if value is None:
        return _Markdown("not used")
    return _code(value) if isinstance(value, (str, list, dict)) else _Markdown(_print(value))


def _python(value: Any) -> _Markdown:
    """A literal inside a fenced block of Python, which no string can end."""
    if isinstance(value, PromptTemplate):
        fields = ", ".join(f"{name}={_python(given)}" for name, given in value.as_dict().items())
        return _Markdown(f"PromptTemplate({fields})")
    if isinstance(value, dict):
        return _Markdown("{" + ", ".join(f"{_python(key)}: {_python(given)}" for key, given in value.items()) + "}")
    if isinstance(value, list):
        return _Markdown("[" + ", ".join(map(_python, value)) + "]")
    if not isinstance(value, str):
        return _Markdown(repr(value))
    literal = json.dumps(value, ensure_ascii=False)
    if not literal.isprintable():  # a bidirectional control must not rearrange a line of code
        literal = ascii(value)
    return _Markdown(literal.replace("`", "\\u0060").replace("<!--", "\\u003c!--"))


def _shell(value: str) -> _Markdown:
    """Part of a line inside a fenced block of shell, which only a line of its own could end.

    In a word that is quoted, `<!''--` is `<!--` to the shell, and no comment to who reads the card.
    """
    return _Markdown(_one_line(value).replace("<!--", "<!''--"))


def _short(text: str | None) -> str | None:
    """The beginning of a text of a row, without the marks of its pictures, which stand beside it."""
    text = None if text is None else text.replace("<image>", " ").strip()
    return text if text is None or len(text) <= MAX_SAMPLE_CHARS else f"{text[:MAX_SAMPLE_CHARS]}..."


def _one_line(text: str) -> str:
    """Without line breaks, control, bidirectional and lone surrogate characters; not longer than MAX_CHARS."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}..."
