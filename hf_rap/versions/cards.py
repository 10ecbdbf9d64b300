"""Facts -> the card of a dataset: metadata for the Hub and a text for people.

Everything that comes from data (names, reasons, settings) is escaped by default: what is printed in
the template passes through `_print`, and only what this file marks as `_Markdown` stays as it is.
"""

from __future__ import annotations

import json
import re
import shlex
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ACE, CONTROLS, DECISIONS, OTHER_SCORES, SCORES
from hf_rap.exports.universal import UNIVERSAL
from hf_rap.rows.parquet import shard_name
from hf_rap.select.methods import METHOD_ROWS, RULE_MEANINGS, SELECTORS

from .configs import CONTROL, SCORED, SELECTED
from .facts import asked_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

UNKNOWN = "unknown"
MAX_CHARS = 500
# Of a question or an answer among the rows to look at.
MAX_SAMPLE_CHARS = 240
# More than this many different settings are only counted.
MAX_SETTINGS = 5
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


_PLAIN_CODE = re.compile(r"[\w ./:;,=+\-@%()'?!]+")
# What may have a meaning in Markdown or HTML. An underscore has none between letters, a dash none inside a line.
_SPECIAL = re.compile(r"""[^\w \-.,;:=+/()%'"?]|(?<![^\W_])_|_(?![^\W_])""")
_SPECIAL_IN_CODE = re.compile(r"""[^\w \-.,;:=+/()%'"?{}]|_""")
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.\-]*")
_HUB_ID = re.compile(r"[\w.\-]+/[\w.\-]+", re.ASCII)


def render_card(facts: Mapping[str, Any]) -> str:
    """The text of README.md. Depends on `facts` alone: no clock, no network.

    Args:
        facts: from `hf_rap.versions.facts.collect_facts`, or the same read back from JSON.

    """
    settings = facts["settings"] or {"different": 0, "shown": []}
    body = _template().render(
        facts=facts,
        settings=settings,
        # One set of settings names one model; mixed ones name none.
        model=settings["shown"][0]["values"].get("model") if settings["different"] == 1 else None,
        rule=_rule(facts["rule"]),
        control=CONTROLS.get(facts["rule"].get("control")),
        universal={name: _Markdown(meaning) for name, meaning in UNIVERSAL.items()},
        added=[column for column in (*SCORES, *OTHER_SCORES) if facts["scores"].get(column.name)] + [*DECISIONS],
        has_ace=facts["scores"].get(ACE.name) is not None,
        # Facts of versions from before there was attention have neither.
        attention=facts.get("attention"),
        ace_settings=facts.get("ace_settings"),
        ace_options=_ace_options(facts.get("ace_settings")),
        load=_load_call(facts["source"]),
        told=METHOD_ROWS.get(facts["rule"].get("method")),
        select=_selector(facts["rule"]),
        stage={"stage_one": ".one", "stage_two": ".two"}.get(facts["rule"].get("stage"), ""),
        select_options=_select_options(facts["rule"]),
        rollouts=_rollouts(facts, settings),
        max_settings=MAX_SETTINGS,
        hub=facts.get("hub"),
        shards=_shards(facts),
        samples=_samples(facts),
        since=facts.get("since"),
        withdrawn=facts.get("withdrawn") or {},
        has_control=CONTROL in (facts.get("configs") or {}),
        stability=facts.get("stability"),
        reselect=_reselect_command(facts),
    )
    return f"---\n{_metadata(facts)}\n---\n\n{body.strip()}\n"


def _metadata(facts: Mapping[str, Any]) -> str:
    from huggingface_hub import DatasetCardData

    rows = facts["rows"]["kept"]
    described = facts.get("configs") or {SELECTED: None, SCORED: None}
    data = DatasetCardData(
        **_licence(facts["licence"]),
        pretty_name=_one_line(facts["name"]),
        source_datasets=_on_the_hub(facts["source"]),
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
    if facts.get("configs"):
        _add_dataset_info(data, facts["configs"])
    text: str = data.to_yaml()
    return text


def _add_dataset_info(data: Any, configs: Mapping[str, Any]) -> None:
    """Types and row counts, which the viewer of the Hub and `load_dataset` check the files against."""
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from datasets.splits import SplitDict, SplitInfo

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
    DatasetInfosDict(infos).to_dataset_card_data(data)


def _digest(facts: Mapping[str, Any], config: str) -> dict[str, str]:
    """A description that changes with the data.

    The cache of `datasets` knows a local folder by its name and this metadata, not by its files:
    without it, `load_dataset` on another folder of the same name gives the rows of the first one.
    """
    digest = facts.get("digests", {}).get(config)
    return {"description": f"content {digest}"} if digest else {}


def _on_the_hub(source: Mapping[str, Any]) -> list[str] | None:
    local = str(source["revision"]).startswith("sha256:")
    return [source["id"]] if source["id"] and not local and _HUB_ID.fullmatch(source["id"]) else None


def _licence(licence: str | None) -> dict[str, Any]:
    """The Hub knows licences by short ids; any other text is the name of one it does not know."""
    if licence is None:
        return {}
    name = _one_line(licence).lower()
    if _LICENCE_ID.fullmatch(name):
        return {"license": name}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name).strip("-") or "other"}


def _rule(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Option, value, meaning; with what was asked for where a number was derived from it."""
    asked = rule.get("asked", {})
    return [
        {
            "option": name,
            "value": value,
            "asked": asked[name] if name in asked and value is not None and asked[name] != value else None,
            "meaning": RULE_MEANINGS.get(name, ""),
        }
        for name, value in rule.items()
        if name not in ("asked", "attempts")
    ]


def _selector(rule: Mapping[str, Any]) -> str:
    """The function of hf_rap that makes this decision."""
    return "split_stages" if rule.get("stage") else SELECTORS.get(rule.get("method", ""), "select_cognitive")


def _select_options(rule: Mapping[str, Any]) -> dict[str, Any]:
    unsaid = ("asked", "attempts", "stage") if _selector(rule) == "select_cognitive" else ("asked", "stage", "method")
    options = {name: value for name, value in rule.items() if name not in (*unsaid, "control")}
    return {**options, **rule.get("asked", {})}


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


def _samples(facts: Mapping[str, Any]) -> dict[str, list[Any]] | None:
    found = facts.get("samples")
    if found is None:
        return None
    return {
        "kept": [one for one in found if one["kept"]],
        "dropped": [one for one in found if not one["kept"]],
    }


def _reselect_command(facts: Mapping[str, Any]) -> str | None:
    """The command that makes the same decision again; None for a version that is on no Hub."""
    hub = facts.get("hub")
    if hub is None or _selector(facts["rule"]) != "select_cognitive":
        return None
    words = ["hf-rap", "reselect", hub["id"], facts["version"], "--dry-run"]
    for name, value in asked_options(facts["rule"]).items():
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
    names = ("temperature", "top_p", "top_k", "max_new_tokens", "seed", "instruction")
    arms = [arm for arm in facts["arms"].values() if arm]
    attempts = {one["attempts"] for arm in arms for one in arm["attempts_per_row"]}
    if (
        values.get("engine") != "transformers"
        or len(attempts) != 1
        or not all(name in values for name in ("model", *names))
    ):
        return None
    engine = {name: values.get(name) for name in ("revision", "dtype", "adapter")}
    return {
        "model": values["model"],
        "engine": {name: value for name, value in engine.items() if value is not None},
        "options": {
            "attempts": attempts.pop(),
            **{name: values[name] for name in names},
            **({"attention": True} if facts.get("attention") else {}),
        },
    }


def _ace_options(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Arguments of `ACEScore`, if all rows were scored with the same."""
    if settings is None or settings["different"] != 1:
        return None
    values = settings["shown"][0]["values"]
    names = ("form", "sigma", "heads", "attempts", "min_column")
    return {name: values[name] for name in names} if all(name in values for name in names) else None


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
        code=_code, python=_python, percent=_percent, value=_value, shell=_shell, short=_short, markdown=_Markdown
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
    return _SPECIAL.sub(_entity, _one_line(str(value)))


def _entity(match: re.Match[str]) -> str:
    """An entity is never markup, unlike the character that it stands for."""
    return f"&#{ord(match[0])};"


def _decimal(value: float) -> str:
    """Three digits after the point, more for what is smaller; never 0 for what is not."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if value == 0 or abs(value) >= 0.001 else f"{value:.1g}"


def _percent(share: float | None) -> _Markdown:
    return _Markdown(UNKNOWN if share is None else f"{100 * share:.1f} %")


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


def _value(value: Any) -> _Markdown:
    """An option: None means that it is not used."""
    if value is None:
        return _Markdown("not used")
    return _code(value) if isinstance(value, (str, list, dict)) else _Markdown(_print(value))


def _python(value: Any) -> _Markdown:
    """A literal inside a fenced block of Python, which no string can end."""
    if not isinstance(value, str):
        return _Markdown(repr(value))
    literal = json.dumps(value, ensure_ascii=False)
    if not literal.isprintable():  # a bidirectional control must not rearrange a line of code
        literal = ascii(value)
    return _Markdown(literal.replace("`", "\\u0060"))


def _shell(value: str) -> _Markdown:
    """Part of a line inside a fenced block of shell, which only a line of its own could end."""
    return _Markdown(_one_line(value))


def _short(text: str | None) -> str | None:
    """The beginning of a text of a row."""
    return text if text is None or len(text) <= MAX_SAMPLE_CHARS else f"{text[:MAX_SAMPLE_CHARS]}..."


def _one_line(text: str) -> str:
    """Without line breaks, control, bidirectional and lone surrogate characters; not longer than MAX_CHARS."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}..."
