"""What a reply states as its answer, in the order of the reply, and the one value of a sentence."""

import pytest

from hf_rap.verify import judge
from hf_rap.verify.finding import Statement, find_answer, lines_of, stated_last, statements
from hf_rap.verify.prose import states_nothing, value_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"a \boxed{1} b \boxed{\frac{1}{2}} c", ["1", r"\frac{1}{2}"]),
        (r"\boxed{\{1, 2\}}", [r"\{1, 2\}"]),
        (r"\fbox{1} then \framebox{2} then boxed{3}", ["1", "2", "3"]),
        (r"\boxed 42", ["42"]),
        ("\x08oxed{12}", ["12"]),
        (r"\\boxed{12}", ["12"]),
        (r"\boxed{42", [""]),
        (r"\boxed{3} and \boxed{5}", ["3, 5"]),
        (r"\boxed{3}, \boxed{3}", ["3"]),
        ("<answer>1</answer> or <answer>2</answer>", ["1, 2"]),
        ("<ANSWER> 1 </ANSWER>", ["1"]),
        ("<CONCLUSION>\nB\n</CONCLUSION>", ["B"]),
        ("<answer>B", ["B"]),
        ("<|begin_of_box|>12<|end_of_box|>", ["12"]),
        ("<answer>It is <|begin_of_box|>12<|end_of_box|></answer>", ["It is <|begin_of_box|>12", "12"]),
        ('{"reasoning": "x", "answer": "12 cm"}', ["12 cm"]),
        ('{"answer": 42}', ["42"]),
        ('{"answer": ["A", "C"]}', ["A, C"]),
        ("Some work.\n#### 42", ["42"]),
        ("#### Solution\nIt is long.", []),
        ("The answer is 1.\nThe answer is 2. That is all.", ["1", "2"]),
        ("**Answer:**\n\n(B) 30", ["(B) 30"]),
        ("Answer - B", ["B"]),
        ("Ans. B", ["B"]),
        ("My final choice: B", ["B"]),
        ("Choice: B", ["B"]),
        ("Solution: B", ["B"]),
        ("The letter is B", ["B"]),
        ("The answer to the question above is 42, since 6*7=42.", ["42"]),
        ("The answer could be (B).", ["(B)"]),
        ("ANSWER IS D. A is incorrect.", ["D"]),
        ("答案：B", ["B"]),
        ("答案应该是 B", ["B"]),
        ("所以选B。", ["B"]),
        ("정답은 B입니다.", ["B"]),
        ("答えはBです。", ["B"]),
        ("Die Antwort ist B.", ["B"]),
        ("La respuesta es B.", ["B"]),
        ("first\n\nlast\n", []),
        ("", []),
    ],
)
def test_statements_in_their_order(text, found):
    """Boxes, tags and cues, each once, by where they begin."""
    assert [statement.text for statement in statements(text)] == found


def test_cues_are_not_explicit():
    """A box or a tag is an answer even if it is empty; what follows a cue may be anything."""
    assert statements(r"The answer is \boxed{1}")[0] == Statement(r"\boxed{1}", explicit=False)
    assert statements(r"The answer is \boxed{1}")[1] == Statement("1", explicit=True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>7</think>It is 12.",
        "◁think▷7◁/think▷It is 12.",
        "<think>a</think><think>b</think>It is 12.",
        "7</think>It is 12.",
    ],
)
def test_only_what_follows_the_thinking_counts(text):
    """In the tags of several models."""
    assert lines_of(text) == ["It is 12."]


def test_thinking_that_never_ends_leaves_nothing():
    """Whatever it says."""
    assert statements(r"<think>\boxed{12}") == []
    assert lines_of("<think>It is 12.") == []


@pytest.mark.parametrize("token", ["<|im_end|>", "</s>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>", "<eos>"])
def test_special_tokens_say_nothing(token):
    """Where a trainer did not strip them."""
    assert stated_last(f"Answer: B{token}") == "B"
    assert lines_of(f"B{token}") == ["B"]


def test_courtesies_say_nothing():
    """As lines of their own and as sentences at the end."""
    reply = "It is 17. Is there anything else I can help you with?\n\nI hope this helps!\nFeel free to ask.\nThank you."
    assert lines_of(reply) == ["It is 17."]


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("There are 12 dots in the picture.", "12"),
        ("The area is 12 cm^2.", "12 cm^2"),
        ("The area is 12 cm².", "12 cm^2"),
        (r"So the length is $2\sqrt{3}$.", r"2\sqrt{3}"),
        (r"Therefore \(x = \frac{1}{2}\).", r"x = \frac{1}{2}"),
        ("$200,000 − $130,000 = **$70,000**", "$70,000"),
        ("So the cost is $4.50 + $2.50 = $7.00.", "$7.00"),
        ("Adding 3 and 4 gives 7.", "7"),
        ("It is 5 times 3 = 15", "15"),
        ("Figure 2 shows 12 dots.", "12"),
        ("In 2010, there were 45 people.", "45"),
        ("There are 6 left after subtracting 2.", "6"),
        ("12 of the 30 students passed.", "12"),
        ("The clock shows 4:30.", "4:30"),
        ("The ratio is 1:2.", "1:2"),
        ("There are five.", "five"),
        ("There's only one.", "one"),
        ("There are 5 dogs and 6 cats.", None),
        ("There are 12 dots, 5 of them red.", None),
        ("It is 3 or 5.", None),
        ("9, maybe 11", None),
        ("between 5 and 7", None),
        ("at least 5", None),
        ("There are fewer than 2.", None),
        ("The value is not 5.", None),
        ("It is probably not 5.", None),
        ("The result is 3 - 5", None),
        ("The result is 5x", None),
        ("Is it 5?", None),
        ("This one is red.", None),
        ("No one knows.", None),
        ("", None),
    ],
)
def test_the_value_of_a_sentence(sentence, value):
    """One, or none where it states several, a bound, or a doubt."""
    found = value_in(sentence)
    assert (found.text if found else None) == value


def test_only_one_value_counts_behind_a_cue():
    """ "The answer is 3 times 5" is not 5."""
    assert value_in("3 times 5", only=True) is None
    assert value_in("there are 12 dots", only=True).text == "12"


@pytest.mark.parametrize(
    "text", ["not B", "Not (B)", "at least 5", "more than 5", "unknown", "(B) is incorrect", "probably not 5"]
)
def test_statements_of_nothing(text):
    """They are passed over for what was stated before."""
    assert states_nothing(text)
    assert judge(f"The answer is 7. The answer is {text}.", "7").reward == 1.0


@pytest.mark.parametrize(
    ("reply", "gold"),
    [
        (r"\boxed{40} is the count. Therefore, the answer is (C).", "C"),
        ("The answer is 6. Wait, I missed a row. The final answer is 8.", "8"),
        ("<answer>3</answer> Hmm, let me recount. \\boxed{4}", "4"),
        ("ANSWER: A ... actually, ANSWER: B", "B"),
        (r"I'll put it in \boxed{}. The answer is 5.", "5"),
        (r"\boxed{5}. The answer is in the box above.", "5"),
        ("The answer is B.\n\nI hope this helps! A good day to you.", "B"),
    ],
)
def test_the_last_statement_counts(reply, gold):
    """And only that: no other number or letter of the reply is paid."""
    paid = [other for other in ("3", "4", "5", "6", "8", "40", "A", "B", "C") if judge(reply, other).reward]
    assert paid == [gold]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"\boxed{12} I hope this helps!", Statement("12")),
        ("The answer is a cat.", Statement("a cat", explicit=False)),
        ("first\nlast", Statement("last", explicit=False)),
        ("", Statement("", explicit=False)),
    ],
)
def test_the_answer_for_graders_of_ones_own(reply, answer):
    """What is stated last, else the last line."""
    assert find_answer(reply) == answer
