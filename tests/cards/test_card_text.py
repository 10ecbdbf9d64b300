"""What a card says, and that nothing in the data can make it say anything else."""

import ast
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import Dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures

from hf_rap.errors import SettingError
from hf_rap.rows.presets import PRESETS
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.rows.provenance import SourceInfo
from hf_rap.select import METHODS, select_cognitive
from hf_rap.select.top import TOP
from hf_rap.versions import cards
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts
from hf_rap.versions.folder import publish_to_folder
from hf_rap.versions.samples import shortened

markdown_it = pytest.importorskip("markdown_it", reason="reads the cards as the Hub does; in the dev group")

SETTINGS = {
    "engine": "transformers",
    "model": "user/model",
    "revision": "abc",
    "dtype": "float32",
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "max_new_tokens": 9,
    "seed": 0,
    "instruction": "\nThink.",
}


def make_facts(text: str = "plain", *, settings=None, licence: str | None = "mit", **selecting) -> dict:
    """Facts in which everything that comes from data holds `text`."""
    values = {**SETTINGS, "model": text, "instruction": text, "k" + text: text, "list": [text], "null": None}
    found = [values] if settings is None else settings
    rows = {
        "topic": [text, "other", None],
        "rap_image_rewards": [[1, 1], [1, 0], None],
        "rap_text_rewards": [[0, 0], [1, 0], None],
        "rap_cde": [1.0, 0.0, None],
        "rap_error": [None, None, f"{text}: {text}"],
        "rap_settings": [json.dumps(found[number % len(found)]) for number in range(2)] + [None],
    }
    selection = select_cognitive(Dataset.from_dict(rows), replace_easy=False, **selecting)
    source = SourceInfo(text, text, text, text, licence and text if licence != "mit" else "mit")
    facts = collect_facts(selection, name=text, version="1.0.0", source=source, group_by="topic", images_missing=0)
    facts["funnel"][1]["step"] = text
    facts["reasons"][-1]["reason"] = text
    facts["groups"]["column"] = text
    facts["rule"] = {**facts["rule"], "stratify_by": text}
    row = {"index": 0, "reason": text, "id": text, "question": text, "answer": text, "images": 2}
    row |= {"score": {"name": text, "value": 0.5}, "steps": text}
    facts["samples"] = [{**row, "kept": True, "image": "samples/kept-00.png"}, {**row, "kept": False, "image": None}]
    facts["since"] = {
        "version": "0.9.0",
        "rows": {"old": 3, "new": 3, "both": 3},
        "kept": {"old": 1, "new": 1, "both": 0, "added": 1, "removed": 1, "jaccard": 0.0},
        "changes": [{"change": "added", "was": None, "now": text, "rows": 1}],
        "scores": {"rap_cde": {"old": None, "new": 1.0}},
        "models": {"old": [text], "new": []},
    }
    facts["withdrawn"] = {"0.9.0": text}
    return facts


def split(card: str) -> tuple[dict, str]:
    head, body = re.fullmatch(r"---\n(.*?)\n---\n\n(.*)", card, re.DOTALL).groups()
    return yaml.safe_load(head), body


def outline(body: str) -> tuple[list, set]:
    """Blocks in order without their text, and what kinds of inline markup there are."""
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(body)
    blocks = [(token.type, token.tag, token.info) for token in tokens]
    kinds = {
        inner.content if inner.type == "html_inline" else inner.type
        for token in tokens
        for inner in token.children or ()
    }
    return blocks, kinds


def code_blocks(body: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)


NASTY = [
    "a|b",
    "`x` ``y``",
    "<script>alert(1)</script>",
    "x\n---\nlicense: evil\n---\n# Hello",
    "](https://evil.example) ![x](y)",
    "**bold** _it_ ~~no~~",
    "```\nfence",
    "'\"; import os #",
    '"""',
    "\\| \\",
    "{{ facts }} {% raw %}",
    "&lt;b&gt; &#124;",
    "null",
    "- a",
    "",
    " ",
    "\ud800",
    "\u202egnp",
    "<!-- ",
    "$x$",
    "a" * 2000,
]


@pytest.mark.slow
@given(st.text())
@settings(max_examples=60, deadline=None)
def test_data_cannot_change_the_card(text):
    """Whatever names, settings, reasons and values hold: same blocks, same markup, same metadata keys."""
    check_harmless(text)


@pytest.mark.parametrize("text", NASTY)
def test_known_tricks_cannot_change_the_card(text):
    """The same for texts that were made to break out."""
    check_harmless(text)


def check_harmless(text: str) -> None:
    check_harmless_in(PLAIN, text)
    check_harmless_in({**PLAIN, "hub": {"id": "user/data", "tag": "v1.0.0"}, "configs": CONFIGS}, text)


def check_harmless_in(plain: dict, text: str) -> None:
    plain_head, plain_body = split(render_card(plain))
    facts = json.loads(
        json.dumps(plain).replace('"plain"', json.dumps(text)).replace("kplain", json.dumps("k" + text)[1:-1])
    )
    card = render_card(facts)
    card.encode()
    head, body = split(card)
    assert set(head) - {"source_datasets"} == set(plain_head) - {"source_datasets"}
    assert head["configs"] == plain_head["configs"]
    assert isinstance(head["pretty_name"], str)
    blocks, kinds = outline(body)
    plain_blocks, plain_kinds = outline(plain_body)
    assert blocks == plain_blocks
    assert kinds <= plain_kinds | {"text", "code_inline", "<code>", "</code>", "<!-- -->"}
    calls = [
        node
        for block in code_blocks(body)
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load_dataset"
    ]
    assert len(calls) == 3
    assert {call.args[0].value for call in calls} == {"user/data" if facts.get("hub") else text}


PLAIN = make_facts()
CONFIGS = {
    name: {
        "rows": 1,
        "bytes": 2,
        "memory_bytes": 3,
        "shards": 2,
        "features": {"a": {"dtype": "string", "_type": "Value"}},
    }
    for name in ("selected", "scored")
}


@given(st.text(min_size=1))
@example("CC BY 4.0")
@settings(max_examples=50, deadline=None)
def test_licence_is_one_the_hub_takes(licence):
    """A short id as it is, anything else as the name of another licence."""
    head, _ = split(render_card({**PLAIN, "licence": licence}))
    assert re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", head["license"])
    if head["license"] == "other" and licence.lower() != "other":
        assert re.fullmatch(r"[a-z0-9.\-]+", head["license_name"])


def test_metadata():
    """Two configs, `selected` by default; source and licence where they are known."""
    facts = {**PLAIN, "source": {"id": "user/data", "config": None, "split": "train", "revision": None}}
    head, _ = split(render_card(facts))
    assert head == {
        "license": "mit",
        "size_categories": "n<1K",
        "source_datasets": ["user/data"],
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "pretty_name": "plain",
        "tags": ["hf-rap", "data-selection", "reasoning"],
        "configs": [
            {
                "config_name": "selected",
                "default": True,
                "data_files": [{"split": "train", "path": "selected/train-*.parquet"}],
            },
            {"config_name": "scored", "data_files": [{"split": "train", "path": "scored/train-*.parquet"}]},
        ],
    }


def test_unknown_prints_as_unknown():
    """Scores alone: the card makes up neither licence nor source nor pass rates."""
    selection = select_cognitive(Dataset.from_dict({"rap_cde": [0.9]}), replace_easy=False)
    head, body = split(render_card(collect_facts(selection, name="n", version="1.0.0")))
    assert "license" not in head
    assert "source_datasets" not in head
    for line in (
        "Source: unknown. Licence: unknown.",
        "| pass rate | unknown | unknown |",
        "| attempts per row | unknown | unknown |",
        "| replies cut off at the token limit | unknown | unknown |",
        "Unknown: the rows came without the column `rap_error`.",
        "Unknown: the rows came without the column `rap_settings`.",
        "which are null there: unknown.",
    ):
        assert line in body
    assert "None" not in body.replace("=None,", "")


def test_mixed_settings_are_said():
    """Rows that were not collected alike do not compare, and there is no one call to repeat them."""
    body = render_card(make_facts(settings=[SETTINGS, {**SETTINGS, "seed": 1}]))
    assert "**Mixed:** the evidence was collected with 2 different settings" in body
    assert "Rollouts(" not in body
    assert "solves more often" in body
    assert "that the model solves" in body


def test_attention_is_cited_where_it_was_used():
    """The second paper belongs to the attention score alone."""
    from_before = {name: fact for name, fact in PLAIN.items() if name != "method"}  # methods did not tell of themselves
    with_ace = {**from_before, "scores": {**PLAIN["scores"], "rap_ace": PLAIN["scores"]["rap_cde"]}}
    assert "2311.17911" in render_card(with_ace)
    for facts in (PLAIN, from_before):
        assert "2311.17911" not in render_card(facts)
        assert "2506.04755" in render_card(facts)


def test_threshold_shows_what_was_asked_for():
    """A quantile became a number; both are on the card."""
    assert "| `min_cde` | 0 (asked for as `q0.5`) |" in render_card(make_facts(min_cde="q0.5"))


def test_evidence_is_repeated_with_the_same_settings():
    """Model, revision and sampling go into the call; a hash of local files is no revision to ask for."""
    facts = {
        **make_facts(settings=[SETTINGS]),
        "source": {"id": "d", "config": "c", "split": "train", "revision": "v1"},
    }
    (*_, block) = code_blocks(render_card(facts))
    assert 'load_source("d:c@v1#train")' in block
    assert 'TransformersEngine("user/model", revision="abc", dtype="float32")' in block
    assert "    attempts=2,\n    temperature=1.0,\n    top_p=1.0,\n    top_k=0,\n    max_new_tokens=9," in block
    assert '    prompt=PromptTemplate(suffix="\\nThink."),' in block
    assert "from hf_rap import PromptTemplate, Rollouts," in block
    facts["source"]["revision"] = "sha256:1234"
    assert 'load_source("d:c#train")' in render_card(facts)


@pytest.mark.parametrize(
    ("dtype", "sentence"),
    [
        ("float32", "reproducible in distribution, and in float32 nearly always to the letter."),
        ("bfloat16", "reproducible in distribution; to the letter they are not, since another batch size, device"),
    ],
)
def test_what_is_only_written_down_is_said(dtype, sentence):
    """A reader sees which settings tell evidence apart, and how far a rerun agrees."""
    told = {**SETTINGS, "dtype": dtype, "identity": "user/model@abc", "batch_size": 16, "adapter": "me/lora@def"}
    body = render_card(make_facts(settings=[{**told, "not_counted": ["batch_size", "model"]}]))
    assert "Of these, `batch_size`, `model` are written down only" in body
    assert sentence in body
    assert "| `identity` | `user/model@abc` |" in body
    assert "`not_counted`" not in body
    assert "TransformersEngine(" not in body or 'adapter="me/lora@def"' in body


def test_settings_that_tell_no_identity_say_so():
    """Evidence from before there was one: a reader must not take the name of a model for the model."""
    sentence = "Which state of the model that was is not told"
    assert sentence in render_card(make_facts(settings=[{**SETTINGS}]))
    assert sentence not in render_card(make_facts(settings=[{**SETTINGS, "identity": "not told by the engine"}]))


def publish(folder: Path) -> Path:
    file = io.BytesIO()
    Pictures.new("RGB", (8, 8), "red").save(file, "PNG")
    rows = {
        "images": [[{"bytes": file.getvalue(), "path": None}]] * 4,
        "problem": ["<image>Colour?"] * 4,
        "answer": ["red"] * 4,
        "rap_cde": [0.9, 0.25, 0.4, None],
        "rap_difficulty": [0.0, 0.4, 0.2, None],
    }
    from datasets import Features, Image, List, Value

    features = Features(
        {
            "images": List(Image()),
            "problem": Value("string"),
            "answer": Value("string"),
            "rap_cde": Value("float64"),
            "rap_difficulty": Value("float64"),
        }
    )
    selection = select_cognitive(Dataset.from_dict(rows, features), min_cde=0.3)
    return publish_to_folder(selection, folder, name=str(folder)).path


def test_code_on_the_card_runs(tmp_path, monkeypatch):
    """Loading gives the rows that the card counts, and deciding again gives the same decisions."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    card = (publish(tmp_path / "v") / "README.md").read_text()
    load, decide = code_blocks(card)
    names: dict = {}
    exec(load, names)
    assert f"\n{len(names['selected'])} of the {len(names['scored'])} rows" in card
    exec(decide, names)
    again = names["selection"].scored
    assert again["rap_reason"][:] == names["scored"]["rap_reason"][:]
    assert again["rap_keep"][:] == [False, True, True, False]


def test_pictures_on_the_card_exist(tmp_path):
    """Links point into the folder, with forward slashes."""
    folder = publish(tmp_path / "v")
    links = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (folder / "README.md").read_text())
    assert [link for link in links if not link.startswith("samples/")] == ["plots/funnel.png", "plots/cde.png"]
    assert len(links) > 2
    assert all((folder / link).is_file() for link in links)


@pytest.mark.slow
def test_script_renders_the_card_of_a_manifest(tmp_path):
    """scripts/render_card.py gives the very card of the version; without a file it says how to call it."""
    folder = publish(tmp_path / "v")
    script = Path(__file__).parents[2] / "scripts" / "render_card.py"
    done = subprocess.run([sys.executable, script, folder / "rap.json"], capture_output=True, check=True)
    assert done.stdout == (folder / "README.md").read_bytes()
    failed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "usage: python scripts/render_card.py FACTS.json" in failed.stderr


def test_attention_and_the_options_of_ace_are_told():
    """What was read, what could not be, and the call that computes the score again."""
    options = {"form": "windowed", "sigma": 2.0, "heads": "max", "attempts": "all", "min_column": 4}
    error = {"code": "reply_empty", "attempts": 1, "meaning": "the reply has no text"}
    facts = {
        **make_facts(settings=[SETTINGS]),
        "attention": {"attempts": 4, "read": 3, "errors": [error]},
        "ace_settings": {"different": 1, "rows": 2, "shown": [{"rows": 2, "values": {**options, "version": "1"}}]},
    }
    facts["scores"]["rap_ace"] = facts["scores"]["rap_cde"]
    body = render_card(facts)
    assert (
        "read in 3 of 4 replies with the image. 1 could not be read: `reply_empty` (the reply has no text).\n" in body
    )
    assert "`rap_ace` was computed with `attempts` `all`, `form` `windowed`, `heads` `max`," in body
    assert 'ace = ACEScore(form="windowed", sigma=2.0, heads="max", attempts="all", min_column=4)\n' in body
    reading = {**options, "normalise": "reply", "part": "answer"}
    facts["ace_settings"]["shown"][0]["values"] = reading
    assert 'min_column=4, normalise="reply", part="answer")\n' in render_card(facts)
    assert "    attention=True,\n" in body
    foreign = {"different": 1, "rows": 2, "shown": [{"rows": 2, "values": {"x)\nevil(": 1}}]}
    assert "evil(" not in render_card({**facts, "ace_settings": foreign}).split("<summary>How to reproduce")[1]


def test_a_card_says_how_rows_were_asked_and_how_trainers_ask_alike():
    """By name, or in words; EasyR1 without a prompt of its own on top, or not at all where it has no place for a part."""
    hub = {"hub": {"id": "user/data", "tag": "v1.0.0"}, "configs": CONFIGS}
    named = {**SETTINGS, **PRESETS["easyr1"].template.settings()}
    card = render_card({**make_facts(settings=[named]), **hub})
    assert "Asked with the prompt `easyr1` (behind the question <code>" in card
    assert "data.prompt_key=prompt_text data.format_prompt=null data.answer_key=answer" in card
    assert "data.prompt_key=messages data.image_key=images\n```" in card
    assert '    prompt="easyr1",' in code_blocks(card)[-1]
    own = PromptTemplate("Be brief.", "", "", {"enable_thinking": False, "it's": "; rm -rf /"})
    card = render_card({**make_facts(settings=[{**SETTINGS, **own.settings()}, named]), **hub})
    assert "Asked with a prompt of the publisher's own (a system turn `Be brief.`, for the chat template" in card
    assert "# It has no place for a system turn, with which these rows were asked." in card
    (words,) = (block for block in re.findall(r"```bash\n(.*?)```", card, re.DOTALL) if "main_ppo" in block)
    assert shlex.split(words.replace("\\\n", " "), comments=True)[-2:] == [
        "+data.apply_chat_template_kwargs.enable_thinking=false",
        '+data.apply_chat_template_kwargs.it\'s="; rm -rf /"',
    ]
    assert "Asked with" not in render_card({name: fact for name, fact in PLAIN.items() if name != "prompts"})


def test_a_card_says_what_the_image_was_compared_with():
    """A cde against a blank picture is none against the text alone: in the first sentence, the rule and the code."""
    rows = {"rap_cde": [1.0, 0.0], "rap_cde_control": ["blank"] * 2, "rap_settings": [json.dumps(SETTINGS)] * 2}
    rows["rap_image_rewards"] = rows["rap_text_rewards"] = [[1.0], [0.0]]
    selection = select_cognitive(Dataset.from_dict(rows), replace_easy=False)
    card = render_card(collect_facts(selection, name="x", version="1.0.0", source=SourceInfo("x"), images_missing=0))
    assert "solves more often with the image than with a grey picture of the same size" in card
    assert "| `control` | `blank` | what the causal discrepancy compares the image with |" in card
    assert 'cde = CDEScore(control="blank")' in card
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert any("Controls(engine, arms=" in block and ast.parse(block) for block in code)
    assert not any("control=" in block for block in code if "select_cognitive(" in block and "CDEScore" not in block)


def test_rows_compared_with_different_things_are_not_selected_together():
    rows = {"rap_cde": [1.0, 0.0], "rap_cde_control": ["blank", None]}
    with pytest.raises(SettingError, match="with blank in some rows and with text in others"):
        select_cognitive(Dataset.from_dict(rows), replace_easy=False)


def test_the_template_names_no_method():
    """What is known of a method stands with the method."""
    template = (Path(cards.__file__).parent / "templates" / "card.md").read_text()
    names = [*METHODS, TOP.name, "2506.04755", "2602.04145", "2505.13261", "2502.11886"]
    assert [name for name in names if re.search(rf"""["'`\s]{re.escape(name)}["'`]""", template)] == []
    assert "rule.method" not in template


def graded_facts(*graders: dict, cut: float = 0.0) -> dict:
    """Facts of one row per grader; of the replies with the image this share was cut off."""
    settings = [{**SETTINGS, **one} for one in graders]
    rows = {
        "rap_cde": [1.0] * len(settings),
        "rap_image_rewards": [[1.0] * 100] * len(settings),
        "rap_text_rewards": [[0.0] * 100] * len(settings),
        "rap_image_truncated": [[number < 100 * cut for number in range(100)]] * len(settings),
        "rap_settings": [json.dumps(one) for one in settings],
    }
    selection = select_cognitive(Dataset.from_dict(rows), replace_easy=False)
    return collect_facts(selection, name="x", version="1.0.0", source=SourceInfo("x"), images_missing=0)


def test_a_card_names_the_grader_and_what_counts():
    """The built-in one of today and of earlier files, and one of the user's without a version, which the code asks for."""
    body = render_card(graded_facts({"verifier": "1"}))
    assert (
        "Graded by `hf_rap`, version `1`: solved is a reward of 1, and a reply that was cut off counts as wrong."
        in body
    )
    anls = {"verifier": "anls", "verifier_version": "unversioned", "correct": 0.5, "cut": "unknown"}
    body = render_card(graded_facts(anls))
    assert (
        "Graded by `anls`, a function of the publisher's, version `unversioned` (so nobody can tell whether it has changed "
        "since): solved is a reward of 0.5 or more, and a reply that was cut off counts as unknown." in body
    )
    (*_, block) = code_blocks(body)
    assert 'verifier = ...  # the function that graded: "anls", version "unversioned"\n' in block
    assert "    verifier=verifier,\n" in block
    assert '    correct=0.5,\n    cut="unknown",\n' in block
    mixed = render_card(graded_facts({"verifier": "1"}, anls))
    assert "Graded by `hf_rap`, version `1` in 1 rows: " in mixed
    assert "; `anls`" in mixed


def test_many_cut_replies_are_said():
    """Above 5 %, with the share; the table has it in any case."""
    few, many = (render_card(graded_facts({}, cut=share)) for share in (0.05, 0.06))
    assert "**Cut off:**" not in few
    assert "| replies cut off at the token limit | 5 (5.0 %) |" in few
    assert "**Cut off:** 6.0 % of the replies with the image hit the token limit." in many


def test_card_links_to_what_it_names():
    """The version, its source, the model, the papers on arXiv and on the Hub; and says how to cite it."""
    facts = make_facts()
    facts |= {"hub": {"id": "user/geo-rap", "tag": "v1.0.0"}, "versions": [{"version": "0.9.0", "kept": 3, "all": 9}]}
    facts["source"] = {**facts["source"], "id": "user/geo", "revision": "abc"}
    card = render_card({**facts, "withdrawn": {"0.9.0": "wrong"}})
    for link in (
        "[user/geo-rap v1.0.0](https://huggingface.co/datasets/user/geo-rap/tree/v1.0.0)",
        "Source: [user/geo](https://huggingface.co/datasets/user/geo).",
        "[arXiv 2506.04755](https://arxiv.org/abs/2506.04755) ([on the Hub](https://huggingface.co/papers/2506.04755))",
        "| `0.9.0` | 3 | 9 | withdrawn |",
        "@misc{user_geo_rap_v1_0_0,",
    ):
        assert link in card
    nowhere = render_card({**facts, "hub": None, "versions": [], "source": {**facts["source"], "id": None}})
    assert "huggingface.co/datasets" not in nowhere
    assert "@misc" not in nowhere


def test_rows_show_what_was_solved_and_no_marks():
    """Pass rates of both arms beside the score; `<image>` stands nowhere in a question."""
    row = {
        "id": "a",
        "index": 0,
        "question": "<image>How many?",
        "answer": "4",
        "images": 1,
        "steps": None,
        "reason": "image_needed",
        "score": {"name": "rap_cde", "value": 0.5},
        "image": None,
        "pass_rates": {"image": 0.75, "text": None},
    }
    card = render_card({**make_facts(), "samples": [{**row, "kept": True}]})
    shown = "`rap_cde` 0.5, solved 75.0 % with the image and unknown on text alone |"
    assert (
        f"| none | How many? **4**<br>`image_needed`: solved more often with the image, by more than min_cde; {shown}"
        in card
    )
    assert "&#60;image" not in card


def test_a_card_says_nothing_of_an_arm_that_was_not_asked():
    """With the image alone: neither in its rows nor in the code that repeats it; and no empty answer is marked."""
    facts = make_facts(settings=[SETTINGS])
    facts["arms"]["text"] |= {"rows": 0, "attempts": 0, "attempts_per_row": []}
    facts["arms"]["image"]["attempts_per_row"] = [{"attempts": 2, "rows": 2}]
    row = {"id": "a", "index": 0, "question": "How many?", "answer": " ", "images": 1, "steps": None, "image": None}
    row |= {"reason": "image_needed", "score": {"name": "rap_difficulty", "value": 0.5}, "kept": True}
    card = render_card({**facts, "samples": [{**row, "pass_rates": {"image": 0.5, "text": None}}]})
    assert "`rap_difficulty` 0.5, solved 50.0 % with the image |" in card
    assert "| none | How many?<br>`image_needed`" in card
    assert "On the text alone nothing was asked." in card
    assert '    prompt=PromptTemplate(suffix="\\nThink."),\n    arm="image",\n' in card
    assert "scored = add_scores(ds.map(rollouts, batched=True), difficulty_score)" in card
    assert "cde_score" not in card


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("make_planted(24, seed=3)", "ds = make_planted(24, seed=3)\n"),
        ("make_planted(x())", 'load_source("make_planted('),
    ],
)
def test_the_rows_of_the_demo_are_made_by_its_code(name, code):
    """And what only looks like it is a name."""
    facts = make_facts(settings=[SETTINGS])
    facts["source"] = dict.fromkeys(("id", "config", "split", "revision")) | {"id": name}
    facts["arms"]["image"]["attempts_per_row"] = facts["arms"]["text"]["attempts_per_row"] = [
        {"attempts": 2, "rows": 2}
    ]
    assert code in render_card(facts)


def test_rows_of_every_reason_are_shown_first():
    """The four that are open to see are not of one reason where others come later in the data."""
    row = {
        "id": "a",
        "answer": "4",
        "images": 1,
        "steps": None,
        "score": {"name": "rap_cde", "value": 0.5},
        "image": None,
    }
    reasons = ["image_needed"] * 5 + ["hard_replacement"]
    samples = [
        {**row, "index": n, "question": f"Row {n}?", "reason": reason, "kept": True} for n, reason in enumerate(reasons)
    ]
    shown = render_card({**make_facts(), "samples": samples}).split("More that were kept")[0]
    assert re.findall(r"Row \d", shown) == ["Row 0", "Row 5", "Row 1", "Row 2"]


def test_a_row_of_each_config_is_shown(tmp_path):
    """As JSON, long texts cut, files by their size."""
    card = (publish(tmp_path / "v") / "README.md").read_text()
    for config in ("selected", "scored"):
        text = re.search(rf"<summary>A row of {config}</summary>\n\n```json\n(.*?)\n```", card, re.DOTALL)[1]
        row = json.loads(text)
        assert row["problem"] == "<image>Colour?"
        assert re.fullmatch(r"\d+ bytes", row["images"][0]["bytes"])
    assert shortened({"a": "x" * 200, "b": [1, 2, 3, 4, 5], "c": float("nan"), "d": b"12"}) == {
        "a": "x" * 100 + "...",
        "b": [1, 2, 3, "... 2 more"],
        "c": "nan",
        "d": "2 bytes",
    }


def test_an_example_cannot_end_its_block():
    """Whatever its texts hold, it is JSON that says the same."""
    row = {"a": "```\n<!-- \u202e `x`", "```": ["<!--"]}
    card = render_card({**PLAIN, "examples": {"selected": row}})
    text = card.split("```json\n")[1].split("\n```")[0]
    assert json.loads(text) == row
    assert "<!--" not in text
    assert "`" not in text
    assert text.isascii()


@pytest.mark.parametrize(
    ("model", "identity", "call"),
    [
        ("user/model", "user/model@abc", 'TransformersEngine("user/model"'),
        ("my-model", None, "# A folder of the publisher's, of which this is the name: give the path of yours.\n"),
        ("user/model", "files:abc", "# A folder of the publisher's, of which this is the name"),
        ("grid-vlm", "files:abc", "from hf_rap.demo import MODEL  # the small model that comes with hf-rap\n"),
    ],
)
def test_the_recipe_names_a_model_that_can_be_loaded(model, identity, call):
    """One of the Hub by its id, the built-in one from the package; of a folder of the publisher's it says that it is one."""
    card = render_card(make_facts(settings=[{**SETTINGS, "model": model, "identity": identity}]))
    assert call in card
    assert ("TransformersEngine(str(MODEL)" in card) == (model == "grid-vlm")
    assert ("https://huggingface.co/user/model" in card) == (identity == "user/model@abc")
    assert "| `identity` | not set |" in card or identity
