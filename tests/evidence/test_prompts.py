"""One prompt in every kind of evidence: what the model is sent, and what the settings say of it."""

import json
from dataclasses import dataclass

import pytest
from datasets import Dataset, Features, Image, List, Value

from hf_rap import Attention, Controls, EndpointEngine, Likelihood, Rollouts, StepRewards, collect_evidence, regrade
from hf_rap.engines.base import LogLikelihood, ReplyAttention
from hf_rap.engines.server_sampling import NEUTRAL
from hf_rap.errors import RapDeprecationWarning, SettingError
from hf_rap.rows.presets import PRESETS
from hf_rap.rows.prompts import PromptTemplate

from .scripted import Scripted, png, rows

ASKED = PromptTemplate("Be brief.", "Q: ", " Box it.", {"enable_thinking": False})


@dataclass(frozen=True)
class All(Scripted):
    """Answers, reads and weighs; keeps every request."""

    continues = True
    template_arguments = True

    def attend(self, replies, *, window):
        self.seen.extend(reply.request for reply in replies)
        psi = {"max": [0.0, 0.0], "mean": [0.0, 0.0]}
        return [ReplyAttention(["a", "b"], psi, psi, [], [0.0, 0.0]) for _ in replies]

    def log_likelihoods(self, replies):
        self.seen.extend(reply.request for reply in replies)
        return [LogLikelihood(-1.0, 1) for _ in replies]


def one_row():
    return rows(([png()], "<image>How many?", "3"))


def chats(engine):
    """Of every request its arm, and its turns as role and text, images as `<image>`."""
    return [
        (
            request.arm,
            [
                (turn["role"], "".join(part.get("text", "<image>") for part in turn["content"]))
                for turn in request.messages
            ],
        )
        for request in engine.seen
    ]


SYSTEM = ("system", "Be brief.")
WITH_IMAGE = [SYSTEM, ("user", "Q: <image>How many? Box it.")]
ON_TEXT = [SYSTEM, ("user", "Q: How many? Box it.")]


def test_rollouts_send_it_in_both_arms():
    """System turn, prefix, suffix and arguments; all of it is in the settings."""
    engine = All()
    evidence = collect_evidence(one_row(), Rollouts(engine, attempts=1, prompt=ASKED, attention=True))
    assert chats(engine) == [("image", WITH_IMAGE), ("text", ON_TEXT), ("image", WITH_IMAGE)]
    assert {json.dumps(request.chat_template_kwargs) for request in engine.seen} == {'{"enable_thinking": false}'}
    for column in ("rap_settings", "rap_attention_settings"):
        assert PromptTemplate.from_settings(json.loads(evidence[column][0])) == ASKED


def test_a_second_pass_and_the_controls_take_it_from_the_row():
    """Attention and blank pictures are asked as the replies were, without being told how."""
    engine = All()
    evidence = collect_evidence(one_row(), Rollouts(engine, attempts=1, prompt=ASKED))
    engine.seen.clear()
    collect_evidence(evidence, Attention(engine))
    controlled = collect_evidence(evidence, Controls(engine, arms=("blank",)))
    assert chats(engine) == [("image", WITH_IMAGE), ("blank", WITH_IMAGE)]
    assert {json.dumps(request.chat_template_kwargs) for request in engine.seen} == {'{"enable_thinking": false}'}
    assert PromptTemplate.from_settings(json.loads(controlled["rap_blank_settings"][0])) == ASKED


def test_likelihood_and_steps_send_it_too():
    """Before the gold answer, and before the response that is continued."""
    engine = All()
    likely = collect_evidence(one_row(), Likelihood(engine, prompt=ASKED))
    assert chats(engine)[:2] == [("image", WITH_IMAGE), ("text", ON_TEXT)]
    engine.seen.clear()
    steps = collect_evidence(
        one_row().add_column("response", ["One.\n\nTwo."]), StepRewards(engine, continuations=1, prompt=ASKED)
    )
    assert {json.dumps(chat) for _, chat in chats(engine)} == {json.dumps(WITH_IMAGE)}
    for column in (likely["rap_likelihood_settings"], steps["rap_settings"]):
        assert PromptTemplate.from_settings(json.loads(column[0])) == ASKED


def test_the_format_is_that_of_the_prompt():
    """Also when grades are made again: the settings of the row say what was asked for."""
    engine = Scripted(with_image=("<think>a</think> 3", "3"))
    evidence = collect_evidence(one_row(), Rollouts(engine, attempts=2, prompt="trl"))
    assert evidence["rap_image_formatted"][0] == [True, False]
    assert regrade(evidence)["rap_image_formatted"][0] == [True, False]
    bare = collect_evidence(one_row(), Rollouts(engine, attempts=2, prompt="bare"))
    assert bare["rap_image_formatted"][0] is None


def test_an_engine_that_would_leave_arguments_out_is_refused():
    """One that was written before there were any: its replies would be those to another prompt."""
    engine = type("Mine", (All,), {"template_arguments": False})()
    said = r"^Mine takes no arguments of the chat template .*has enable_thinking: "
    for collector in (Rollouts, Likelihood, StepRewards):
        with pytest.raises(SettingError, match=said):
            collector(engine, prompt=ASKED)
    evidence = collect_evidence(one_row(), Rollouts(All(), attempts=1, prompt=ASKED))
    for collector in (Attention(engine), Attention(engine, prompt=ASKED), Controls(engine)):
        with pytest.raises(SettingError, match=said):
            collect_evidence(evidence, collector)


def test_a_name_becomes_its_template():
    """And Likelihood asks at once unless it is told otherwise."""
    assert Rollouts(All(), prompt="trl").prompt == PRESETS["trl"].template
    assert Rollouts(All()).prompt == PRESETS["default"].template
    assert Likelihood(All()).prompt == PRESETS["at-once"].template
    assert Attention(All()).prompt is None


@pytest.mark.parametrize("collector", [Rollouts, Attention, Likelihood, StepRewards])
def test_the_old_option_goes_on_for_now(collector):
    """`instruction=` is the text behind the question, and is said to go away where it is used."""
    with pytest.warns(RapDeprecationWarning, match=r"instruction= is now prompt=PromptTemplate\(suffix=") as caught:
        made = collector(All(), instruction=" Box it.")
    assert made.prompt == PromptTemplate(suffix=" Box it.")
    assert caught[0].filename == __file__


CHATS = Features(
    {
        "messages": List({"role": Value("string"), "content": Value("string")}),
        "images": List(Image()),
        "solution": Value("string"),
        "id": Value("string"),
    }
)


def chatting(*systems, role="system"):
    """One row per system turn; None has none."""
    made = [
        {
            "messages": [
                *([] if system is None else [{"role": role, "content": system}]),
                {"role": "user", "content": "<image>How many?"},
            ],
            "images": [{"bytes": png(), "path": None}],
            "solution": "3",
            "id": f"row {number}",
        }
        for number, system in enumerate(systems)
    ]
    return Dataset.from_list(made, CHATS)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_turns_of_the_dataset_are_kept_when_asked(role):
    """Each row with its own; MM-Eureka and ms-swift have one in every row."""
    ds = chatting("You are a grader.", None, role=role)
    sent = {}
    for keep in (False, True):
        engine = All()
        collect_evidence(ds, Rollouts(engine, attempts=1, arm="image", prompt=PromptTemplate(keep_system=keep)))
        sent[keep] = [chat for _, chat in chats(engine)]
    user = ("user", "<image>How many?")
    assert sent == {False: [[user], [user]], True: [[("system", "You are a grader."), user], [user]]}


@pytest.mark.parametrize("keep", [False, True])
def test_rows_that_differ_in_their_system_turn_are_asked_apart_where_it_is_sent(keep):
    """The same question and gold without an id of their own: two requests per arm, or one whose reply both get."""
    rows = chatting("You are a grader.", "You are a poet.", role="system").remove_columns("id")
    engine = All()
    collect_evidence(rows, Rollouts(engine, attempts=1, prompt=PromptTemplate(keep_system=keep)))
    assert len(chats(engine)) == (4 if keep else 2)


def test_a_server_is_sent_the_system_turn_as_text_and_the_arguments_by_their_name():
    """As vLLM, SGLang and llama.cpp know them; beside what the user adds to every request."""
    engine = EndpointEngine(
        "http://host/v1", model="m", extra_body={"chat_template_kwargs": {"tools": None}, "min_p": 0}
    )
    scripted = All()
    collect_evidence(one_row(), Rollouts(scripted, attempts=1, prompt=ASKED))
    ask = engine._ask(scripted.seen[0], Rollouts(scripted)._sampling(), 0, 1)
    assert ask.options["extra_body"] == {
        **NEUTRAL,
        "chat_template_kwargs": {"tools": None, "enable_thinking": False},
        "min_p": 0,
    }
    system, user = ask.messages()
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text"]
