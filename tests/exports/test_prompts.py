"""The prompt that was scored is the prompt that is trained, in every trainer that has a place for it."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from jinja2 import Template

from hf_rap import (
    Likelihood,
    PromptTemplate,
    Rollouts,
    add_scores,
    cde_score,
    check_export,
    collect_evidence,
    export,
    publish_to_folder,
    pull,
    select_cognitive,
)
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import ExportError, SettingError
from hf_rap.exports.trainers import TRAINERS
from hf_rap.rows.presets import PRESETS
from hf_rap.rows.recognition import recognise_layout

from .awkward import FEATURES, dataset, row

# Reading what each trainer is given: the columns of its rows -> (system turn or None, user's turn).
ASKED = PromptTemplate("Be brief.", "Q: ", "\nThink.")
USER_TURN = PromptTemplate(prefix="Q: ", suffix="\nThink.")
PARQUET = ["universal", "trl", "verl", "ms-swift", "llama-factory", "openrlhf"]
FEATURES_WITH_SETTINGS = type(FEATURES)({**FEATURES, "rap_settings": FEATURES["problem"]})


def asked_with(*prompts, **settings):
    """A row for each prompt, which its settings say; None: they say nothing."""
    made = [
        row(
            f"row {number}",
            2,
            "Compare <image> with <image>",
            rap_settings=None if prompt is None else json.dumps({"model": "m", **prompt.settings(), **settings}),
        )
        for number, prompt in enumerate(prompts)
    ]
    return dataset(*made, features=FEATURES_WITH_SETTINGS)


def text_of(content):
    """Of blocks or a text."""
    if isinstance(content, str):
        return content
    return "".join("<image>" if block["type"].startswith("image") else block["text"] for block in content)


def turns(one: dict) -> list[tuple[str, str]]:
    """The chat that a trainer makes of a row: roles and texts, without the reply of supervised rows."""
    if "conversations" in one and "messages" not in one:
        chat = [{"role": "user", "content": one["conversations"][0]["value"]}]
    elif "message" in one:
        chat = json.loads(one["message"])
    elif isinstance(one.get("prompt"), list):
        chat = one["prompt"]
    else:
        chat = one.get("messages") or [{"role": "user", "content": one["prompt_text"]}]
    return [(turn["role"], text_of(turn["content"])) for turn in chat if turn["role"] != "assistant"]


def rows_of(folder: Path) -> list[dict]:
    """Those to train on and those that are held out, in the order of their ids."""
    rows = [one for file in folder.glob("*.parquet") for one in pq.read_table(file).to_pylist()]
    rows += [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()]
    return sorted(rows, key=lambda one: one["id"])


EXPECTED = [("system", "Be brief."), ("user", "Q: Compare <image> with <image>Think.")]


@pytest.mark.parametrize("name", [name for name in TRAINERS if name not in ("easyr1", "conversations")])
def test_a_trainer_is_given_what_the_model_was_asked(tmp_path, name):
    """System turn, prefix and suffix; the bare question stays beside it where the trainer keeps further columns."""
    done = export(asked_with(ASKED), to=name, path=tmp_path / "out")
    (one,) = rows_of(done.path)
    assert turns(one) == EXPECTED
    assert one.get("problem", "Compare <image> with <image>") == "Compare <image> with <image>"
    assert "prompt: one of the publisher's own in 1 row(s)" in done.handoff.table()


def easyr1_sees(folder: Path, one: dict) -> str:
    """As its loader makes a prompt: the file of the config, rendered with the column."""
    return Template((folder / "format_prompt.jinja").read_text("utf-8").strip()).render(content=one["problem"])


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.template.system is None])
def test_easyr1_is_given_it_as_the_file_of_its_config(tmp_path, name):
    """It gives every question the prompt that was scored, to the letter, whatever the question ends with."""
    asked = replace(PRESETS[name].template, chat_template_kwargs={}, prefix=' {{ "x" }}\n', keep_system=False)
    settings = json.dumps(asked.settings())
    questions = ["<image>What is {{ x }}?", "See <image> ", "<image> <image>", 'Is "a" \\ b? <image>', "🦊 ends blank "]
    made = [row(str(n), q.count("<image>"), q, rap_settings=settings) for n, q in enumerate(questions)]
    done = export(dataset(*made, features=FEATURES_WITH_SETTINGS), to="easyr1", path=tmp_path / "out")
    for one, question in zip(rows_of(done.path), questions, strict=True):
        assert easyr1_sees(done.path, one) == one["prompt_text"] == asked.text(question)
    words = shlex.split(done.snippet)
    assert {"data.prompt_key=problem", f'data.format_prompt="{done.path}/format_prompt.jinja"'} <= set(words)


def test_easyr1_is_given_several_prompts_in_a_column(tmp_path):
    """`format_prompt` is switched off, since there is one for all rows."""
    done = export(asked_with(USER_TURN, PRESETS["easyr1"].template), to="easyr1", path=tmp_path / "out")
    assert rows_of(done.path)[0]["prompt_text"] == "Q: Compare <image> with <image>Think."
    words = shlex.split(done.snippet)
    assert {"data.prompt_key=prompt_text", "data.format_prompt=null"} <= set(words)
    assert not (done.path / "format_prompt.jinja").exists()


@pytest.mark.parametrize("name", [*PARQUET, "easyr1", "mm-eureka"])
def test_bare_and_scored_are_prompts_by_name(tmp_path, name):
    """The one says that it is not what was scored, the other is the default."""
    ds = asked_with(USER_TURN, USER_TURN)
    bare = export(ds, to=name, path=tmp_path / "bare", prompt="bare")
    assert [turns(one)[-1][1] for one in rows_of(bare.path)] == ["Compare <image> with <image>"] * 2
    note = "2 row(s) were scored with another prompt than they are trained with here"
    assert note in bare.handoff.notes
    scored = export(ds, to=name, path=tmp_path / "scored", prompt="scored")
    assert [turns(one)[-1][1] for one in rows_of(scored.path)] == ["Q: Compare <image> with <image>Think."] * 2
    assert scored.handoff.notes == check_export(ds, to=name).notes
    assert note not in scored.handoff.notes
    if name == "easyr1":
        assert (bare.path / "format_prompt.jinja").read_text() == "{{ content }}"


def test_another_prompt_than_a_published_one_is_noted(tmp_path):
    """A version remembers the prompt in its columns, and the same by name is none of another."""
    ds = asked_with(*[PRESETS["verl"].template] * 3).add_column("rap_image_rewards", [[1.0, 0.0]] * 3)
    version = publish_to_folder(select_cognitive(ds, min_cde=0.2, replace_easy=False), tmp_path / "version").path
    note = "3 row(s) were scored with another prompt than they are trained with here"
    assert note in check_export(str(version), to="trl", prompt="default").notes
    assert note not in check_export(str(version), to="trl", prompt="verl").notes


def test_a_system_turn_is_refused_where_there_is_none(tmp_path):
    """EasyR1 builds a user's turn alone; another prompt is a way out, and dropping rows."""
    ds = asked_with(ASKED, USER_TURN)
    assert check_export(ds, to="easyr1").codes == {"system_turn": 1}
    with pytest.raises(
        ExportError, match=r"system_turn: 1.*its loader does not have: export with another prompt=\.\.\."
    ):
        export(ds, to="easyr1", path=tmp_path / "out")
    done = export(ds, to="easyr1", path=tmp_path / "out", prompt="easyr1")
    assert [one["prompt_text"] for one in rows_of(done.path)] == [
        PRESETS["easyr1"].template.text("Compare <image> with <image>")
    ] * 2
    universal = export(ds, path=tmp_path / "universal").snippet
    assert "# EasyR1 (commit b44b311)\n# has no system turn, and rows were asked with one" in universal


@pytest.mark.parametrize("name", PARQUET)
def test_rows_that_say_nothing_are_asked_bare(tmp_path, name):
    """As before: nobody knows what stood around them, and the report says so."""
    done = export(dataset(row("a")), to=name, path=tmp_path / "out")
    (one,) = rows_of(done.path)
    assert turns(one) == [("user", "<image>What is x?")]
    assert "prompt: the question alone, since nothing says how it was asked, in 1 row(s)" in done.handoff.table()
    assert "format_prompt" not in done.snippet


def test_a_row_without_settings_has_the_prompt_of_the_others(tmp_path):
    """Unless they differ: then nobody knows."""
    (_, alone) = rows_of(export(asked_with(ASKED, None), to="trl", path=tmp_path / "a").path)
    assert turns(alone) == EXPECTED
    done = export(asked_with(ASKED, USER_TURN, None), to="trl", path=tmp_path / "b")
    assert [turns(one)[0][0] for one in rows_of(done.path)] == ["system", "user", "user"]
    assert done.handoff.prompts == {"own": 2, "": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trl", '# {"chat_template_kwargs": {"enable_thinking": false}}'),
        ("verl", "+data.apply_chat_template_kwargs.enable_thinking=false"),
        ("ms-swift", "--enable_thinking false"),
        ("llama-factory", "enable_thinking: false"),
        ("universal", "+data.apply_chat_template_kwargs.enable_thinking=false"),
    ],
)
def test_arguments_of_the_chat_template_are_in_the_lines_to_paste(tmp_path, name, said):
    """By the name that each trainer has for them."""
    prompt = PromptTemplate(chat_template_kwargs={"enable_thinking": False})
    done = export(asked_with(prompt), to=name, path=tmp_path / "out")
    assert said in done.snippet
    assert done.handoff.chat_template_kwargs == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("easyr1", {"enable_thinking": False}),
        ("openrlhf", {"enable_thinking": False}),
        ("mm-eureka", {"enable_thinking": False}),
        ("ms-swift", {"reasoning_effort": "low"}),
        ("llama-factory", {"reasoning_effort": "low"}),
    ],
)
def test_arguments_that_a_trainer_has_no_place_for_are_refused(name, given):
    """They would change what is asked."""
    found = check_export(asked_with(PromptTemplate(chat_template_kwargs=given)), to=name)
    assert found.codes == {"template_arguments": 1}
    assert f"was given {next(iter(given))}, which this trainer has no place for" in found.table()


def test_rows_with_other_arguments_go_apart():
    """A training run has one set of them."""
    thinks = PromptTemplate(chat_template_kwargs={"enable_thinking": True})
    found = check_export(asked_with(thinks, PromptTemplate(), thinks), to="trl")
    assert found.codes == {"template_arguments": 1}
    assert "was given nothing, and that of rows before {'enable_thinking': True}" in found.table()


@pytest.mark.parametrize("name", ["trl", "verl", "ms-swift", "openrlhf", "easyr1", "jsonl", "universal"])
def test_an_export_that_is_scored_again_is_asked_its_bare_question(tmp_path, name):
    """Not the one with a prompt around it, to which another would be added."""
    done = export(asked_with(USER_TURN), to=name, path=tmp_path / "out")
    kind = "parquet" if (done.path / "train.parquet").exists() else "json"
    ds = load_dataset(
        kind, data_files=str(next(done.path.glob("train.*"))), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert recognise_layout(ds.features).question == "problem"
    assert ds[0]["problem"] == "Compare <image> with <image>"


def test_settings_of_somebody_else_say_nothing(tmp_path):
    """No JSON, no object, no instruction: the question stays bare."""
    made = [row(f"row {n}", rap_settings=text) for n, text in enumerate(["plain text", "[1]", '{"model": "m"}'])]
    done = export(dataset(*made, features=FEATURES_WITH_SETTINGS), to="trl", path=tmp_path / "out")
    assert done.handoff.prompts == {"": 3}


def test_from_the_model_to_the_trainer(tmp_path):
    """Scored with a system turn, selected, published, pulled: TRL is given the chat that the model was asked."""
    ds = make_planted(12)
    evidence = collect_evidence(ds, Rollouts(demo_engine(), attempts=2, max_new_tokens=8, prompt=ASKED))
    selection = select_cognitive(add_scores(evidence, cde_score), min_cde=-1, replace_easy=False, max_ace=None)
    version = publish_to_folder(selection, tmp_path / "version").path
    card = (version / "README.md").read_text("utf-8")
    assert (
        "Asked with a prompt of the publisher's own (a system turn `Be brief.`, before the question `Q: `, behind the question"
        in card
    )
    assert 'prompt=PromptTemplate(system="Be brief.", prefix="Q: ", suffix="\\nThink."),' in card
    pulled = pull(version, version="1.0.0", to="trl", path=tmp_path / "pulled")
    selected = load_dataset(str(version), "selected", split="train", cache_dir=str(tmp_path / "cache"))
    questions = {one["id"]: one["problem"] for one in ds}
    for one, published in zip(rows_of(pulled.path), selected.remove_columns("images"), strict=True):
        expected = [("system", "Be brief."), ("user", f"Q: {questions[one['id']]}\nThink.")]
        assert turns(one) == turns(published) == expected
        assert published["problem"] == questions[one["id"]]
        assert published["prompt_text"] == expected[1][1]
    bare = pull(version, version="1.0.0", to="easyr1", path=tmp_path / "bare", prompt="bare")
    assert [one["prompt_text"] for one in rows_of(bare.path)] == [questions[one["id"]] for one in rows_of(bare.path)]


def test_a_row_of_a_version_remembers_its_own_system_turn(tmp_path):
    """The chat of the source is no column of a version, so what it was asked with is in the row."""
    from datasets import Features, List, Value

    turn = {"role": Value("string"), "content": Value("string")}
    features = Features({**FEATURES_WITH_SETTINGS, "messages": List(turn), "solution": Value("string")})
    features.pop("problem"), features.pop("answer")
    settings = json.dumps(PromptTemplate(suffix="!", keep_system=True).settings())
    made = [
        {
            "id": str(number),
            "images": [],
            "messages": [*said, {"role": "user", "content": "What is 1 + 1?"}],
            "solution": "2",
            "rap_cde": 0.9,
            "rap_settings": settings,
        }
        for number, said in enumerate([[{"role": "system", "content": "Mine."}], []])
    ]
    selection = select_cognitive(dataset(*made, features=features), replace_easy=False)
    version = publish_to_folder(selection, tmp_path / "version").path
    done = export(str(version), to="openrlhf", path=tmp_path / "out")
    assert [turns(one) for one in rows_of(done.path)] == [
        [("system", "Mine."), ("user", "What is 1 + 1?!")],
        [("user", "What is 1 + 1?!")],
    ]


def test_likelihoods_alone_do_not_say_how_a_row_is_trained(tmp_path):
    """They asked for the answer at once, which no training run does."""
    looked = collect_evidence(make_planted(6), Likelihood(demo_engine()))
    done = export(looked, to="verl", path=tmp_path / "out", drop=True)
    assert done.handoff.prompts == {"": done.handoff.ready}


HINT = "\n\nThis problem is hard for you."
HINTED = type(FEATURES)({**FEATURES_WITH_SETTINGS, "rap_hinted_problem": FEATURES["problem"]})


def hinted():
    """Three rows: with a hint, without one, and with an empty line in the question itself."""
    questions = ["<image>Find x.", "<image>Find y.", "<image>Given 1.\n\nFind z."]
    hints = [HINT, "", ""]
    settings = json.dumps(USER_TURN.settings())
    made = [
        row(str(n), 1, question, rap_settings=settings, rap_hinted_problem=question + hint)
        for n, (question, hint) in enumerate(zip(questions, hints, strict=True))
    ]
    return dataset(*made, features=HINTED)


@pytest.mark.parametrize("name", [*PARQUET, "easyr1", "mm-eureka", "conversations", "openai-chat", "jsonl"])
def test_hints_are_behind_the_questions_where_they_are_asked_for(tmp_path, name):
    """And in front of the instruction; the bare question stays without, and a paragraph of its own is none."""
    done = export(hinted(), to=name, path=tmp_path / "out", hints=True)
    rows = rows_of(done.path)
    assert [turns(one)[-1][1] for one in rows] == [
        f"Q: <image>Find x.{HINT}\nThink.",
        "Q: <image>Find y.\nThink.",
        "Q: <image>Given 1.\n\nFind z.\nThink.",
    ]
    assert [one["problem"] for one in rows if "problem" in one][:1] in ([], ["<image>Find x."])
    if name == "easyr1":
        assert "data.prompt_key=prompt_text data.format_prompt=null" in done.snippet


def test_hints_that_are_left_out_are_said():
    """They are in a column that no trainer reads; without any there is nothing to ask for."""
    note = "the hints in rap_hinted_problem are not in the prompt: hints=True (--hints) puts them there"
    assert note in check_export(hinted(), to="trl").notes
    assert note not in check_export(hinted(), to="trl", hints=True).notes
    with pytest.raises(SettingError, match=r"takes one column rap_hinted_\.\.\., .*there is: none"):
        check_export(asked_with(USER_TURN), to="trl", hints=True)


def test_a_version_is_published_with_hints_when_they_are_asked_for(tmp_path):
    """In all columns that say what is asked; `problem` stays bare, so that it can be scored again."""
    ds = hinted().add_column("rap_image_rewards", [[1.0, 0.0]] * 3)
    selection = select_cognitive(ds, min_cde=0.2, replace_easy=False)
    told = {}
    for hints in (False, True):
        version = publish_to_folder(selection, tmp_path / str(hints), hints=hints)
        told[hints] = [
            one for file in (version.path / "selected").glob("*.parquet") for one in pq.read_table(file).to_pylist()
        ]
    for columns, hint in ((told[False], ""), (told[True], HINT)):
        asked = f"Q: <image>Find x.{hint}\nThink."
        first = columns[0]
        assert (first["prompt_text"], first["messages"][-1]["content"], text_of(first["prompt"][-1]["content"])) == (
            asked,
        ) * 3
        assert first["problem"] == "<image>Find x."
    assert told[True][1:] == told[False][1:]
    with pytest.raises(SettingError, match="there is: none"):
        publish_to_folder(
            select_cognitive(ds.remove_columns("rap_hinted_problem"), min_cde=0.2, replace_easy=False),
            tmp_path / "x",
            hints=True,
        )
