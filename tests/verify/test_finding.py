"""What a reply states as its answer, in the order of the reply, and the one value of a sentence."""

import pytest

from hf_rap.verify import judge
from hf_rap.verify.finding import Statement, find_answer, lines_of, stated_last, statements
from hf_rap.verify.prose import affirmed, states_nothing, value_in


@pytest.mark.parametrize(
    ("text", "texts"),
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
def test_statements_in_their_order(text, texts):
    """Boxes, tags and cues, each once, by where they begin."""
    assert [statement.text for statement in statements(text)] == texts


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


def test_what_is_denied_for_something_else_says_nothing():
    """ "Not 18 but 19" is 19; a plain denial stays one."""
    assert affirmed("The answer is not 18 but 19.") == "The answer is 19."
    assert affirmed("It is not 18.") == "It is not 18."


def test_an_explanation_behind_the_answer_is_left_out():
    """Where the answer stands alone before it; behind a sentence it is a part of the reply."""
    assert lines_of("12\n\nExplanation: 3 floors with 4 windows.") == ["12"]
    assert len(lines_of("Let me look at all of the windows.\nExplanation: 3 floors with 4 windows, so 12.")) == 2


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
        ("The ratio of dogs to cats is 2 to 3.", "2:3"),
        ("There are 2 columns with values larger than 50.", "2"),
        ("There is only one column with a value above 8.", "one"),
        ("The limit as x goes to 0 from the left is 4.", "4"),
        ("The slope at x = 2 is equal to zero.", "zero"),
        ("The median is 5 because it lies between 3 and 9.", "5"),
        ("The share is 4/5, or 0.8.", "4/5"),
        ("The share is 4/5, or 0.7.", None),
        ("The area is 78 square meters.", "78 square meters"),
        ("There are 12 in total.", "12"),
        ("The point is (2, -1).", "(2, -1)"),
        ("It was on 05/06/2021.", "05/06/2021"),
        ("It shows half past three.", "half past three"),
        ("It shows half past three, or four.", None),
        ("I count twelve (12) windows.", "12"),
        ("一共有12扇窗户。", "12"),
        ("The chance is 3 in 10.", None),
        ("5 is wrong.", None),
        ("Of the 40 tiles, 19 are black.", "19"),
        ("The roots are 2, 3 and 5.", "2, 3 and 5"),
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
    stated = value_in(sentence)
    assert (stated.text if stated else None) == value


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
