"""Inside every trainer a reply gets the verdict that it got when the rows were scored."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hf_rap.training import accuracy_reward, difficulty_weighted, easyr1, format_reward, mm_eureka, openrlhf, verl
from hf_rap.verify import judge

PAIRS = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data" / "answers.jsonl").read_text("utf-8").splitlines()
]
# What trainers that hand on one text can be asked.
TEXTS = [pair for pair in PAIRS if isinstance(pair["gold"], str)]


# What needs no question, as several trainers hand none over.
PLAIN = [pair for pair in TEXTS if "question" not in pair][::2]


def scored(pairs: list[dict]) -> list[float | None]:
    return [judge(pair["reply"], pair["gold"], question=pair.get("question", "")).reward for pair in pairs]


def test_there_are_enough_pairs():
    """Of every verdict, and with options in the question."""
    assert len(TEXTS) >= 100
    assert {0.0, 1.0, None} <= set(scored(TEXTS))
    assert sum("question" in pair for pair in TEXTS) >= 10


def test_trl():
    """As GRPOTrainer calls it: chats of blocks, columns as keyword lists, more of them than are read."""
    logged = {}
    rewards = accuracy_reward(
        prompts=[
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": pair.get("question", "")}]}]
            for pair in PAIRS
        ],
        completions=[[{"role": "assistant", "content": pair["reply"]}] for pair in PAIRS],
        completion_ids=[[1]] * len(PAIRS),
        solution=[pair["gold"] for pair in PAIRS],
        trainer_state=None,
        log_metric=logged.__setitem__,
        log_extra=None,
    )
    assert rewards == scored(PAIRS)
    assert logged == {"unreadable": sum(reward is None for reward in rewards) / len(rewards)}


def test_trl_on_text_prompts():
    """Completions and prompts may be plain text."""
    questions = [pair.get("question", "") for pair in PAIRS]
    golds, replies = [pair["gold"] for pair in PAIRS], [pair["reply"] for pair in PAIRS]
    assert accuracy_reward(replies, golds, questions) == scored(PAIRS)


def test_all_accepted_answers_count():
    """From an export to TRL and from a published version; an empty list counts as none."""
    replies = ["\\boxed{7}"] * 3
    assert accuracy_reward(replies, ["5"] * 3, accepted=[["5", "7"], ["5"], []]) == [1.0, 0.0, 0.0]
    info = [{"accepted": ["5", "7"]}, None, {"accepted": []}]
    assert accuracy_reward(replies, ["5"] * 3, extra_info=info) == [1.0, 0.0, 0.0]


def test_answers_in_no_known_column():
    """Said at the first step, not learnt from zeros."""
    with pytest.raises(ValueError, match="solution, answer or accepted"):
        accuracy_reward(["5"], gold=["5"])


def test_ids_are_logged_once():
    """TRL would write those of a second reward function behind those of the first, in another process's place."""
    logged = []

    def log(name, values):
        logged.append((name, values))

    completions = ["\\boxed{5}"] * 4
    columns = {"completions": completions, "solution": ["5"] * 4, "prompts": ["a", "a", "b", "b"], "id": [7, 7, 8, 8]}
    accuracy_reward(**columns, log_extra=log)
    assert logged == [("rap_id", ["7", "7", "8", "8"])]
    difficulty_weighted(accuracy_reward, group_size=2, id_column="id")(**columns, log_extra=log)
    assert [name for name, _ in logged] == ["rap_id", "accuracy_reward_unweighted"]
    accuracy_reward(**{**columns, "completions": list(completions)}, rap_id=["x"] * 4, log_extra=log)
    assert logged[-1] == ("rap_id", ["x"] * 4)
    accuracy_reward(list(completions), ["5"] * 4, log_extra=log)
    assert len(logged) == 3


def test_verl():
    """One reply per call; what nobody knows is 0 there, and counted."""
    for pair, reward in zip(TEXTS, scored(TEXTS), strict=True):
        info = {"index": 0, "question": pair.get("question"), "accepted": []}
        told = verl.compute_score(
            data_source="x", solution_str=pair["reply"], ground_truth=pair["gold"], extra_info=info
        )
        assert told == {"score": reward or 0.0, "acc": reward or 0.0, "unreadable": float(reward is None), "rap_id": ""}
    assert verl.compute_score("x", "5", "5", {"id": "row-7"})["rap_id"] == "row-7"
    assert verl.compute_score("x", "\\boxed{7}", "5", {"accepted": ["5", "7"]})["score"] == 1.0


def test_easyr1():
    """A batch and one by one; it knows no question."""
    texts = [pair for pair in TEXTS if "question" not in pair]
    batch = [{"response": pair["reply"], "response_length": 9, "ground_truth": pair["gold"]} for pair in texts]
    assert [score["overall"] for score in easyr1.compute_score(batch)] == [reward or 0.0 for reward in scored(texts)]
    assert [easyr1.compute_score(one) for one in batch] == easyr1.compute_score(batch)


@pytest.mark.parametrize(
    ("reply", "form"),
    [
        ("<think>1 + 1</think> so \\boxed{2}.", 1.0),
        (" < think > 1 < / think >\n\\boxed{}", 1.0),  # blanks around <, > and / do not count
        ("<think>1</think> 2", 0.0),
        ("<think>\\boxed{2}</think>", 0.0),  # boxed before the end of thinking
        ("So <think>1</think> \\boxed{2}", 0.0),
        ("<think>1</think> \\boxed{2", 0.0),
        ("", 0.0),
    ],
)
def test_the_form_of_a_reply(reply, form):
    """By hand, from the pattern of the release: a reward of its own in TRL, a tenth of the whole in EasyR1."""
    assert format_reward([[{"role": "assistant", "content": reply}], reply]) == [form, form]
    given = {"response": reply, "response_length": 9, "ground_truth": "2"}
    accuracy = judge(reply, "2").reward
    score = easyr1.compute_score(given, format_weight=0.1)
    assert (score["accuracy"], score["format"]) == (accuracy, form)
    assert score["overall"] == pytest.approx(0.9 * accuracy + 0.1 * form)
    assert easyr1.compute_score(given)["overall"] == accuracy


@pytest.mark.parametrize("end", ["<|im_end|>", "<|end|>\n", "</s>", ""])
def test_openrlhf(end):
    """The reply is found behind a prompt whose image token was multiplied, and in front of the end of the turn."""
    questions = [pair.get("question", "What?") for pair in TEXTS]
    prompts = [f"<|im_start|>user\n<img>{asked}<|im_end|>\n<|im_start|>assistant\n" for asked in questions]
    queries = [
        prompt.replace("<img>", "<img>" * 9) + (pair["reply"] or "") + end
        for prompt, pair in zip(prompts, TEXTS, strict=True)
    ]
    told = openrlhf.reward_func(queries, prompts, [pair["gold"] for pair in TEXTS])
    assert told["rewards"].tolist() == [reward or 0.0 for reward in scored(TEXTS)]
    assert told["extra_logs"]["unreadable"].tolist() == [float(reward is None) for reward in scored(TEXTS)]


def test_mm_eureka():
    """The reply is the model's turn, whatever it says of turns itself; the prompt comes as JSON."""
    questions = [pair.get("question", "What?") for pair in TEXTS]
    chats = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}] for text in questions]
    queries = [
        f"<|endoftext|><|im_start|>user\n<|image_pad|>{text}<|im_end|>\n<|im_start|>assistant\n{pair['reply'] or ''}<|im_end|>"
        for text, pair in zip(questions, TEXTS, strict=True)
    ]
    told = mm_eureka.reward_func(queries, [json.dumps(chat) for chat in chats], [pair["gold"] for pair in TEXTS])
    assert told["rewards"].tolist() == [reward or 0.0 for reward in scored(TEXTS)]
    assert told["unreadable"].tolist() == [float(reward is None) for reward in scored(TEXTS)]
    assert mm_eureka.reply_of("<|im_start|>assistant\na<|im_start|>assistant\nb<|im_end|>") == "a\nassistant\nb"


def in_threads(call, pairs: list[dict]) -> list:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(call, pairs))


def test_verl_and_easyr1_in_threads():
    """As verl's reward loop and EasyR1's workers call them, with verdicts of scoring in the main thread."""
    expected = [reward or 0.0 for reward in scored(PLAIN)]
    found = in_threads(lambda pair: verl.compute_score("x", pair["reply"], pair["gold"])["score"], PLAIN)
    assert found == expected
    batch = [{"response": pair["reply"], "ground_truth": pair["gold"]} for pair in PLAIN]
    assert [score["overall"] for score in in_threads(easyr1.compute_score, [batch])[0]] == expected


def test_openrlhf_in_a_thread():
    """One batch after the other."""
    prompt, golds = "<|user|>What?<|assistant|>", [pair["gold"] for pair in PLAIN]
    queries = [f"{prompt}{pair['reply']}<|end|>" for pair in PLAIN]
    told = in_threads(lambda _: openrlhf.reward_func(queries, [prompt] * len(queries), golds), PLAIN[:1])[0]
    assert told["rewards"].tolist() == [reward or 0.0 for reward in scored(PLAIN)]


def test_trl_in_event_loops():
    """TRL awaits asynchronous rewards together, in a loop that runs in a thread of its own."""

    async def batch(pairs):
        return accuracy_reward([pair["reply"] for pair in pairs], [pair["gold"] for pair in pairs])

    async def together():
        return await asyncio.gather(batch(PLAIN[:50]), batch(PLAIN[50:]))

    first, second = in_threads(lambda _: asyncio.run(together()), PLAIN[:1])[0]
    assert first + second == scored(PLAIN)


@pytest.mark.parametrize("reply", ["\\boxed{9^{9^{9^9}}}", "\\boxed{\\frac{}}", "\\boxed{1/0}", ""])
def test_no_reply_escapes_its_penalty(reply):
    """A None is left out of its group, so only a gold answer can make one."""
    assert accuracy_reward([reply] * 3, ["\\sqrt{2}", "42", None]) == [0.0, 0.0, None]
    assert verl.compute_score("x", reply, "\\sqrt{2}") == {
        "score": 0.0, "acc": 0.0, "unreadable": 0.0, "rap_id": "",
    }  # fmt: skip


def test_openrlhf_keeps_the_marks_of_an_answer():
    """Special tokens that open and end turns go, those around an answer stay."""
    prompt = "<|user|>What?<|assistant|>"
    told = openrlhf.reward_func([f"{prompt}Some 7.<|begin_of_box|>12<|end_of_box|> So 3.<|end|>"], [prompt], ["12"])
    assert told["rewards"].tolist() == [1.0]


def test_reply_that_repeats_its_prompt():
    """The first place behind the prompt counts."""
    prompt = "<img>Say it.<end>assistant:"
    assert openrlhf.reply_of(f"<img><img>Say it.<end>assistant:4 Say it.<end>assistant:5{'<|end|>'}", prompt) == (
        "4 Say it.<end>assistant:5"
    )


def test_rewards_load_without_heavy_libraries():
    """Trainers pin their own: hf_rap is installed beside them without its dependencies."""
    code = (
        "import sys, hf_rap.training.verl, hf_rap.training.easyr1, hf_rap.training.openrlhf\n"
        "print({'datasets', 'torch', 'transformers', 'matplotlib', 'pyarrow'} & {name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
