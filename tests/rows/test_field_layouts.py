"""Layouts of public datasets, with columns and cells as their cards show them, and their right reading worked out by hand.

A case is a list of rows and, for each, what a model is asked, in which order it sees the pictures, and what is right; or
the sentence that refuses the row. A sentence in the place of that list refuses the dataset before a model is loaded.
"""

import re
from io import BytesIO

import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import Completion, Rollouts
from hf_rap.errors import LayoutError, RowError
from hf_rap.evidence.collector import collect_evidence
from hf_rap.rows.cells import rows_of
from hf_rap.rows.questions import read_question
from hf_rap.rows.settling import layout_with, settle
from hf_rap.verify import judge, read_gold

RED, GREEN, BLUE = (PILImage.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue"))
NAMES = {(255, 0, 0): "R", (0, 255, 0): "G", (0, 0, 255): "B"}
LISTED = "A. Nevada\nB. Maine\nC. Oregon"
STATES = ["Nevada", "Maine", "Oregon"]
Q = "Which is north?"


def case(rows, expected, *, types=None, **named):
    """A dataset, what is expected, and the fields of `Layout` that a user has to name."""
    return rows if isinstance(rows, list) else [rows], expected, types or {}, named


ALL = {
    "MathVerse": case(
        {
            "sample_index": "1",
            "problem_version": "Text Dominant",
            "question": "Find the angle.\nChoices:\nA:130°\nB:65°\nC:25°",
            "image": RED,
            "answer": "B",
            "question_type": "multi-choice",
            "metadata": {"split": "testmini", "source": "Geometry3K"},
            "query_wo": "Please directly answer.",
            "query_cot": "Please first reason.",
            "question_for_eval": "Find the angle.",
        },
        [("<image>Find the angle.\nChoices:\nA:130°\nB:65°\nC:25°", "R", "B", "65°")],
    ),
    "MathVerse, the question in the picture alone": case(
        [{"question": text, "image": RED, "answer": "B", "query_wo": "Answer."} for text in ("", "Find x. A:1 B:2")],
        ["question_missing: column 'question' is empty", ("<image>Find x. A:1 B:2", "R", "B", "2")],
    ),
    "MathVision": case(
        [
            {
                "id": "1",
                "question": "How many <image1>?",
                "options": [],
                "decoded_image": RED,
                "answer": "7",
                "level": 3,
            },
            {
                "id": "2",
                "question": "Which? <image1>",
                "options": ["$8$", "$9$"],
                "decoded_image": GREEN,
                "answer": "B",
                "level": 3,
            },
        ],
        [("How many <image>?", "R", "7", "7"), ("Which? <image>\nA. $8$\nB. $9$", "G", "B", "9")],
    ),
    "We-Math": case(
        {
            "ID": "1",
            "question number": 1,
            "knowledge concept": "k",
            "question": "What is the perimeter? (  )",
            "option": "A. 24 cm; B. 32 cm; C. No correct answer",
            "answer": "B",
            "image_path": RED,
            "key": "one-step_1",
        },
        [
            (
                "<image>What is the perimeter? (  )\nA. 24 cm\nB. 32 cm\nC. No correct answer",
                "R",
                "B",
                "32 cm",
            )
        ],
    ),
    "DynaMath": case(
        [
            {
                "id": "1",
                "question": "What is the limit?",
                "image": "images/1.png",
                "decoded_image": RED,
                "ground_truth": "4.5",
                "answer_type": "float",
                "subject": "analysis",
            },
            {
                "id": "2",
                "question": "Is it even? choice: (A) even (B) odd (C) neither",
                "image": "images/2.png",
                "decoded_image": GREEN,
                "ground_truth": "C",
                "answer_type": "multiple choice",
                "subject": "analysis",
            },
        ],
        [
            ("<image>What is the limit?", "R", "4.5", "4.5"),
            ("<image>Is it even? choice: (A) even (B) odd (C) neither", "G", "C", "neither"),
        ],
    ),
    "LogicVista": case(
        [
            {
                "question_id": 1,
                "question": "Select from A, B, C.",
                "image": RED,
                "answer": a,
                "reasoning": "r",
                "skill": ["i"],
            }
            for a in ("B", "A, C")
        ],
        [("<image>Select from A, B, C.", "R", "B", "B"), ("<image>Select from A, B, C.", "R", "A, C", "A and C")],
    ),
    "OlympiadBench": case(
        {
            "id": 1606,
            "question": "Find the area.<image_1>",
            "solution": [
                "Since the legs are 3 and 4, the hypotenuse is $c=5$. Half their product is wanted, which has $a=6$."
            ],
            "final_answer": ["6"],
            "context": None,
            "image_1": RED,
            "image_2": None,
            "is_multiple_answer": False,
            "unit": None,
            "answer_type": "Numerical",
        },
        [("Find the area.<image>", "R", ["6"], "6")],
        types={"image_2": Image(), "context": Value("string"), "unit": Value("string")},
    ),
    "M3CoT": case(
        {
            "id": "p-1",
            "category": "c",
            "image_id": "p-1",
            "question": Q,
            "choices": STATES,
            "context": "",
            "answer": "B",
            "rationale": "Because.",
            "split": "train",
            "image": RED,
            "domain": "d",
        },
        [(f"<image>{Q}\n{LISTED}", "R", "B", "Maine")],
    ),
    "GQA, instructions apart from their pictures": case(
        {"id": "1", "imageId": "n1", "question": "Is it red?", "answer": "no", "fullAnswer": "No, it is not."},
        "no column has one of the usual names for images.*--images",
    ),
    "GQA": case(
        {"id": "1", "image": RED, "question": "Is it red?", "answer": "no", "fullAnswer": "No, it is green."},
        [("<image>Is it red?", "R", "no", "No")],
    ),
    "Visual7W in the_cauldron": case(
        {
            "images": [RED],
            "texts": [
                {
                    "user": "Question: What?\nChoices:\nA. cat\nB. dog\nAnswer with the letter.",
                    "assistant": "Answer: B",
                    "source": "visual7w",
                }
            ],
        },
        [("<image>Question: What?\nChoices:\nA. cat\nB. dog\nAnswer with the letter.", "R", "Answer: B", "dog")],
    ),
    "Visual7W, the right answer beside three wrong ones": case(
        {"question": "What?", "image": RED, "multiple_choices": ["cat", "cow", "ant"], "answer": "dog"},
        ["gold_unreadable: the gold answer 'dog' is none of the options"],
    ),
    "VizWiz": case(
        {
            "question_id": "VizWiz_val_1.jpg",
            "image": RED,
            "question": "What is this?",
            "answers": ["soup", "soup can", "unanswerable", "soup"],
            "category": "other",
        },
        [("<image>What is this?", "R", ["soup can", "unanswerable", "soup"], "soup can")],
    ),
    "VizWiz, with confidence": case(
        {
            "image": RED,
            "question": "What?",
            "answers": [{"answer_confidence": "yes", "answer": "soup"}],
            "answerable": 1,
        },
        [("<image>What?", "R", ["soup"], "soup")],
    ),
    "InfographicVQA": case(
        {
            "questionId": "1",
            "question": "How many?",
            "answers": ["12", "twelve"],
            "answer_type": ["x"],
            "image": RED,
            "image_url": "https://example.org/1.jpg",
            "ocr": "o",
        },
        [("<image>How many?", "R", ["12", "twelve"], "twelve")],
    ),
    "IconQA": case(
        {
            "question_id": "1",
            "question": "Which?",
            "choices": "choice_0.png,choice_1.png",
            "answer": "choice_1.png",
            "query_image": RED,
            "choice_image_0": GREEN,
            "choice_image_1": BLUE,
            "ques_type": "choose_img",
            "label": "x",
        },
        "pictures in query_image, choice_image_0, choice_image_1, whose order .*--images",
    ),
    "TabMWP": case(
        [
            {"id": "1", "image": RED, "question": "How many?", "options": [], "answer": "46"},
            {
                "id": "2",
                "image": GREEN,
                "question": "Linear?",
                "options": ["linear", "nonlinear"],
                "answer": "nonlinear",
            },
        ],
        [("<image>How many?", "R", "46", "46"), ("<image>Linear?\nA. linear\nB. nonlinear", "G", "B", "nonlinear")],
        types={"options": List(Value("string"))},
    ),
    "CLEVR of R1-V": case(
        {"image": RED, "problem": "How many items?", "solution": "<answer> 3 </answer>"},
        [("<image>How many items?", "R", "<answer> 3 </answer>", "3")],
    ),
    "NLVR2 of lmms": case(
        {
            "question_id": "1",
            "question": "Both are red.",
            "left_image": RED,
            "right_image": GREEN,
            "answer": "False",
        },
        "pictures in left_image, right_image, whose order .*--images left_image,right_image",
    ),
    "NLVR2 of lmms, named": case(
        {"question": "Both are red.", "left_image": RED, "right_image": GREEN, "answer": "False"},
        [("<image><image>Both are red.", "RG", "False", "no")],
        images=("left_image", "right_image"),
    ),
    "NLVR2 of Mantis": case(
        {
            "id": "1",
            "images": [RED, GREEN],
            "conversation": [
                {"role": "user", "content": "<image> <image> Both red?"},
                {"role": "assistant", "content": "No"},
            ],
            "source": "nlvr2",
        },
        [("<image> <image> Both red?", "RG", "No", "no")],
    ),
    "TallyQA": case(
        [{"image": RED, "qa": [{"answer": n, "is_simple": True, "question": "How many dogs?"}]} for n in (3, 0)],
        [("<image>How many dogs?", "R", "3", "3"), ("<image>How many dogs?", "R", "0", "0")],
    ),
    "VSR": case(
        {"image": RED, "image_link": "l", "caption": "The cat is on the mat.", "label": 1, "relation": "on"},
        "No known layout has these columns.*--question",
        types={"label": ClassLabel(names=["False", "True"])},
    ),
    "VSR, named": case(
        {"image": RED, "image_link": "l", "caption": "The cat is on the mat.", "label": 1, "relation": "on"},
        [("<image>The cat is on the mat.", "R", "True", "yes")],
        types={"label": ClassLabel(names=["False", "True"])},
        question="caption",
    ),
    "PMC-VQA": case(
        {
            "image": RED,
            "Question": Q,
            "Answer": "Maine",
            **{f"Choice {a}": f" {a}:{s}" for a, s in zip("ABC", STATES, strict=True)},
            "Answer_label": "B",
        },
        [(f"<image>{Q}\n{LISTED}", "R", "B", "Maine")],
    ),
    "SLAKE": case(
        {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "What?", "answer": "MRI", "q_lang": "en", "qid": 1},
        "no column has one of the usual names for images.*img_name.*--images",
    ),
    "VQA-RAD": case(
        {"image": RED, "question": "Is it abnormal?", "answer": "yes"}, [("<image>Is it abnormal?", "R", "yes", "Yes.")]
    ),
    "PathVQA, a long gold": case(
        {"image": RED, "question": "What?", "answer": "in the canals of hering and other small ducts of it"},
        ["gold_unreadable.*too long"],
    ),
    "MMK12": case(
        {"id": "1", "question": "<image>\nFind x.", "answer": "$$0.6$$", "subject": "math", "image": RED},
        [("<image>\nFind x.", "R", "$$0.6$$", "0.6")],
    ),
    "R1-Onevision": case(
        {
            "id": "1",
            "image": RED,
            "conversations": [
                {"from": "human", "value": "<image>Find x."},
                {"from": "assistant", "value": "<think>3 + 4</think> So it is \\boxed{7}."},
            ],
            "reannotated_assistant_content": "x",
        },
        [("<image>Find x.", "R", "<think>3 + 4</think> So it is \\boxed{7}.", "7")],
    ),
    "ViRL39K": case(
        {
            "question": "<image>\nFind x.",
            "answer": "\\boxed{A}",
            "PassRate_32BTrained": 0.5,
            "category": "c",
            "source": "s",
            "qid": "q-1",
            "image": [RED],
        },
        [("<image>\nFind x.", "R", "\\boxed{A}", "A")],
    ),
    "GeoQA, an explanation and the number of the option": case(
        [
            {
                "question": "Find x.",
                "image": RED,
                "choices": ["30°", "45°", "60°"],
                "label": n,
                "answer": "∵∠1=30°,∴∠2=30°",
            }
            for n in (2, 0)
        ],
        [("<image>Find x.\nA. 30°\nB. 45°\nC. 60°", "R", gold, text) for gold, text in (("C", "60°"), ("A", "30°"))],
    ),
    "ChartQAPro": case(
        [
            {"Question": [q], "Answer": [a], "Question Type": "Factoid", "image": RED, "Year": ["NO"], "Paragraph": ""}
            for q, a in (("How many?", "12"),)
        ],
        [("<image>How many?", "R", ["12"], "12")],
    ),
    "ChartQAPro, a conversation": case(
        {
            "Question": ["How many?", "And in 2020?"],
            "Answer": ["12", "14"],
            "Question Type": "Conversational",
            "image": RED,
        },
        ["several_turns: column 'Question' holds a list of 2 texts"],
    ),
    "FigureQA, numbers for yes and no": case(
        [{"question": "Is Blue the minimum?", "image": RED, "answer": n} for n in (1, 0)],
        ["gold_unreadable: the gold answer is ., and the question asks for yes or no.*--labels no,yes"] * 2,
    ),
    "HallusionBench, numbers for yes and no": case(
        [
            {
                "category": "VD",
                "question_id": str(n),
                "question": "Is the left line longer?",
                "gt_answer": str(n),
                "gt_answer_details": "It is not longer at all, and it is only an illusion.",
                "image": RED,
            }
            for n in (0, 1)
        ],
        ["gold_unreadable: the gold answer is '.', and the question asks for yes or no.*--labels no,yes"] * 2,
    ),
    "CharXiv": case(
        {"image": RED, "descriptive_q1": 3, "descriptive_a1": "0.5", "reasoning_q": "How many?", "reasoning_a": "3"},
        "No known layout has these columns.*--question",
    ),
    "CharXiv, named": case(
        {"image": RED, "descriptive_q1": 3, "descriptive_a1": "0.5", "reasoning_q": "How many?", "reasoning_a": "3"},
        [("<image>How many?", "R", "3", "3")],
        question="reasoning_q",
        answer="reasoning_a",
    ),
    "OK-VQA": case(
        {
            "image": RED,
            "question": "Which hair?",
            "answers": [{"answer": "pony tail", "raw_answer": "ponytail", "answer_confidence": "yes", "answer_id": 1}],
            "answer_type": "other",
        },
        [("<image>Which hair?", "R", ["pony tail"], "pony tail")],
    ),
    "OK-VQA, the answers as the text of a list": case(
        {"image": RED, "question": "Which hair?", "answers": "['pony tail', 'ponytail']"},
        [("<image>Which hair?", "R", ["pony tail", "ponytail"], "ponytail")],
    ),
    "Visual-CoT, asked for a box first": case(
        {
            "question_id": 1,
            "image": [RED],
            "conversations": [
                {"from": "human", "value": "<image>\nWhere? Give the box."},
                {"from": "gpt", "value": "[0.1, 0.2, 0.3, 0.4]"},
                {"from": "human", "value": "And what is it?"},
                {"from": "gpt", "value": "cat"},
            ],
        },
        ["several_turns: .*--turns"],
    ),
    "EMMA": case(
        {
            "pid": "1",
            "question": "Which matches?\n<image_1>",
            "options": ["A", "B", "C", "D"],
            "answer": "D",
            "image_1": RED,
            "image_2": None,
            "solution": "Look at it.",
            "source": "s",
            "type": "Multiple Choice",
            "context": None,
        },
        [("Which matches?\n<image>", "R", "D", "D")],
        types={"image_2": Image(), "context": Value("string")},
    ),
    "PuzzleVQA": case(
        {
            "image": RED,
            "question": "Which colour?",
            "options": ["orange", "purple"],
            "answer": "purple",
            "caption": "c",
            "explanation": "e",
            "deduction": "d",
        },
        [("<image>Which colour?\nA. orange\nB. purple", "R", "B", "purple")],
    ),
    "AlgoPuzzleVQA, options that are numbers": case(
        [{"image": RED, "question": "How many?", "options": ["3", "6", "2", "1"], "answer": a} for a in ("6", "1")],
        [("<image>How many?\nA. 3\nB. 6\nC. 2\nD. 1", "R", gold, text) for gold, text in (("B", "6"), ("D", "1"))],
    ),
    "CV-Bench": case(
        {
            "idx": 0,
            "type": "2D",
            "task": "Count",
            "image": RED,
            "question": "How many?",
            "choices": ["2", "3", "1", "0"],
            "answer": "(C)",
            "prompt": "How many? (A) 2 (B) 3 (C) 1 (D) 0",
            "filename": "img/1.png",
            "source": "ADE20K",
        },
        [("<image>How many?\nA. 2\nB. 3\nC. 1\nD. 0", "R", "C", "1")],
    ),
    "V*": case(
        {"image": RED, "text": "What? (A) red (B) blue", "category": "c", "label": "A", "question_id": 0},
        "No known layout has these columns.*--question",
    ),
    "POPE": case(
        {
            "id": "0",
            "question_id": "1",
            "question": "Is there a dog in the image?",
            "answer": "no",
            "image_source": "COCO_val2014_1",
            "image": RED,
            "category": "adversarial",
        },
        [("<image>Is there a dog in the image?", "R", "no", "No")],
    ),
    "MM-Vet": case(
        {"question_id": "v1", "question": "What is x?", "answer": "14<OR>fourteen", "image": RED, "capability": "math"},
        [("<image>What is x?", "R", ["14", "fourteen"], "14")],
    ),
    "MM-Vet, several answers at once": case(
        {"question_id": "v2", "question": "Who is it?", "answer": "cat<AND>dog<OR>cat and dog", "image": RED},
        ["gold_unreadable: the gold answer 'cat<AND>dog<OR>cat and dog' is several answers that all have to be said"],
    ),
    "MUIRBench": case(
        {
            "idx": 1,
            "task": "t",
            "question": "<image> Which is the same?",
            "options": ["<image>", "<image>"],
            "answer": "B",
            "image_list": [RED, GREEN, BLUE],
            "counterpart_idx": 0,
        },
        [("<image> Which is the same?\nA. <image>\nB. <image>", "RGB", "B", "B")],
    ),
    "Mantis-Eval": case(
        {
            "id": "1",
            "question_type": "multi-choice",
            "question": "<image> <image> Same?",
            "images": [RED, GREEN],
            "options": ["(A) yes", "(B) no"],
            "answer": "B",
            "data_source": "d",
        },
        [("<image> <image> Same?\nA. yes\nB. no", "RG", "B", "no")],
    ),
    "PathMMU": case(
        {
            "No": 1,
            "img": RED,
            "question": Q,
            "options": ["A) Nevada", "B) Maine"],
            "answer": "B) Maine",
            "explanation": "e",
        },
        [(f"<image>{Q}\nA. Nevada\nB. Maine", "R", "B", "Maine")],
    ),
    "CVQA": case(
        [
            {
                "image": RED,
                "ID": "1",
                "Question": "¿Cuál?",
                "Translated Question": "Which?",
                "Options": ["uno", "dos"],
                "Translated Options": ["one", "two"],
                "Label": n,
                "Category": "c",
            }
            for n in (1, 0)
        ],
        [("<image>¿Cuál?\nA. uno\nB. dos", "R", gold, text) for gold, text in (("B", "dos"), ("A", "uno"))],
    ),
    "EmbSpatial-Bench": case(
        [{"image": RED, "question": Q, "answer_options": STATES, "answer": n, "relation": "far"} for n in (1, 0)],
        [(f"<image>{Q}\n{LISTED}", "R", gold, text) for gold, text in (("B", "Maine"), ("A", "Nevada"))],
    ),
    "options under a name that nobody knows": case(
        [{"image": RED, "question": Q, "alternatives": STATES, "answer": n} for n in (1, 0)],
        "alternatives look like options.*--choices alternatives.*--ignore-columns alternatives",
    ),
    "several options that are right together": case(
        {"image": RED, "question": Q, "options": STATES, "answer": "A, C"},
        [(f"<image>{Q}\n{LISTED}", "R", "AC", "A and C")],
    ),
    "CMM-Math": case(
        {
            "id": "1",
            "pre_prompt": "p",
            "post_prompt": "q",
            "question": "Which? <image>",
            "images": [RED],
            "solutions": ["long"],
            "answers": ["B"],
            "options": ["2", "3"],
        },
        [("Which? <image>\nA. 2\nB. 3", "R", "B", "3")],
    ),
    "Zebra-CoT, pictures of the reasoning": case(
        {
            "Question": "Which? <image_start>[problem_image_1]<image_end>",
            "Text Reasoning Trace": "t",
            "Final Answer": "B",
            "problem_image_1": RED,
            "reasoning_image_1": GREEN,
        },
        "No known layout has these columns.*--images",
    ),
    "VisPuzzle, the solved picture beside the puzzle": case(
        {
            "pid": "1",
            "question": "Which?",
            "problem_image": RED,
            "options": ["x", "y"],
            "answer": "A",
            "original_image": GREEN,
        },
        "pictures in problem_image, original_image, whose order.*--images",
    ),
    "OCRBench": case(
        {"dataset": "IIIT5K", "question": "What is written?", "question_type": "r", "answer": ["CENTRE"], "image": RED},
        [("<image>What is written?", "R", ["CENTRE"], "centre")],
    ),
    "Orsta": case(
        {
            "data_source": "chart",
            "images": [RED],
            "prompt": [{"role": "user", "content": "<image>How many?"}],
            "ability": "chart",
            "reward_model": {"answer": "12", "ground_truth": "\\boxed{12}", "style": "rule"},
            "extra_info": {"id": "1"},
        },
        [("<image>How many?", "R", "\\boxed{12}", "12")],
    ),
    "MMPR, preferences": case(
        {"image": RED, "question": "Which?", "chosen": "red", "rejected": "blue"},
        "No known layout has these columns.*--answer",
    ),
    "NaturalBench": case(
        {"Image_0": RED, "Image_1": GREEN, "Question_0": "a?", "Question_1": "b?", "Image_0_Question_0": "Yes"},
        "No known layout has these columns.*--question",
    ),
    "pixmo-docs, several questions": case(
        {
            "image": RED,
            "image_id": "1",
            "questions": [{"question": "a?", "answer": "1"}, {"question": "b?", "answer": "2"}],
        },
        "No known layout has these columns.*--question",
    ),
    "webdataset": case(
        {"jpg": RED, "json": {"question": "Which?", "answer": "7"}, "__key__": "1"},
        "No known layout has these columns.*struct.field",
    ),
    "pictures as plain bytes": case(
        {"image": b"BYTES", "problem": "<image>Find x.", "answer": "3"},
        [("<image>Find x.", "R", "3", "3")],
    ),
    "VQAv2": case(
        {
            "question_type": "what is",
            "multiple_choice_answer": "net",
            "answers": [{"answer": "net", "answer_confidence": "yes", "answer_id": 1}],
            "image_id": 1,
            "answer_type": "other",
            "question_id": 1,
            "question": "What is it?",
            "image": RED,
        },
        [("<image>What is it?", "R", ["net"], "net")],
    ),
    "OlympiadBench, a solution that ends with something else": case(
        {
            "question": "Find sin OAB.",
            "image": RED,
            "solution": "Then $OA = 5$ and $OB = 12$, so that the answer follows from $AB = 13$.",
            "final_answer": "$\\frac{12}{13}$",
        },
        [("<image>Find sin OAB.", "R", "$\\frac{12}{13}$", "12/13")],
    ),
    "a solution that ends with the final answer stays the gold": case(
        {"question": "x?", "image": RED, "solution": "Adding gives \\boxed{7}.", "final_answer": "7"},
        [("<image>x?", "R", "Adding gives \\boxed{7}.", "7")],
    ),
    "a chat and an answer as the text of Python": case(
        {"image": RED, "conversations": "[{'from': 'human', 'value': '<image>x?'}, {'from': 'gpt', 'value': '3'}]"},
        [("<image>x?", "R", "3", "3")],
    ),
    "an answer as the text of a struct": case(
        {"image": RED, "question": "Which?", "answer": "{'text': 'two', 'label': 'B'}"},
        [("<image>Which?", "R", ["two", "B"], "two")],
    ),
    "an answer that is the text of an interval": case(
        {"image": RED, "question": "Where?", "answer": "[2, 3]"},
        [("<image>Where?", "R", "[2, 3]", "[2, 3]")],
    ),
    "options as structs of one field each": case(
        {
            "image": RED,
            "question": Q,
            "options": [{"A": s, "B": None} if s == "Nevada" else {"A": None, "B": s} for s in STATES[:2]],
            "answer": "B",
        },
        [(f"<image>{Q}\nA. Nevada\nB. Maine", "R", "B", "Maine")],
    ),
    "answers as flags": case(
        [{"image": RED, "question": "Is it red?", "answer": flag} for flag in (True, False)],
        [("<image>Is it red?", "R", True, "yes"), ("<image>Is it red?", "R", False, "no")],
    ),
}


def png():
    """The file of a red picture."""
    file = BytesIO()
    RED.save(file, "PNG")
    return file.getvalue()


def dataset(rows, types):
    """The rows, their types found by `datasets` but for those that are given."""
    rows = [{name: png() if value == b"BYTES" else value for name, value in row.items()} for row in rows]
    told = Dataset.from_list(rows).features
    return Dataset.from_list(rows, features=Features({**told, **types}))


def colours(images):
    """R, G and B, in the order of the pictures."""
    return "".join(NAMES[image.getpixel((0, 0))] for image in images)


def refusal(row, layout):
    """The sentence that refuses a row, when it is read or when its gold is."""
    try:
        question = read_question(row, layout)
        read_gold(question.answer, question=question.text, options=question.options or None)
    except RowError as error:
        return str(error)
    return "not refused"


def check_row(row, layout, expected):
    """Asked, seen and graded as it was worked out by hand."""
    text, seen, gold, reply = expected
    question = read_question(row, layout)
    about = {"question": question.text, "options": question.options or None}

    assert (question.text, colours(question.images), question.answer) == (text, seen, gold)
    assert judge(rf"\boxed{{{reply}}}", question.answer, **about).reward == 1.0
    assert judge(r"\boxed{F}", question.answer, **about).reward == 0.0


@pytest.mark.parametrize("name", ALL)
def test_a_public_layout_is_read_right_or_refused(name):
    """Nothing in between: what is asked, seen and right is what was worked out by hand."""
    rows, expected, types, named = ALL[name]
    ds = dataset(rows, types)

    if isinstance(expected, str):
        with pytest.raises(LayoutError, match=expected):
            settle(layout_with(ds, named) if named else None, ds)
        return

    layout, _ = settle(layout_with(ds, named) if named else None, ds)
    for row, of_row in zip(rows_of(ds.with_format("arrow")[:]), expected, strict=True):
        if isinstance(of_row, str):
            assert re.match(of_row, refusal(row, layout))
        else:
            check_row(row, layout, of_row)


def of_words(rows):
    """What is said when these rows are looked at, and the name of the first."""
    ds = dataset(rows, {})
    layout, remarks = settle(None, ds)
    return layout, "\n".join(remarks)


def test_an_id_that_names_different_rows_is_none():
    """MME calls both questions about a picture by its name; the second is no duplicate of the first."""
    rows = [
        {"question_id": "a.png", "image": RED, "question": q, "answer": a}
        for q, a in (("A dog?", "Yes"), ("A cat?", "No"))
    ]

    layout, remarks = of_words(rows)
    named = layout_with(dataset(rows, {}), {"id": "question_id"})

    assert layout.id is None
    assert "not by 'question_id', which has one name for different rows ('a.png' for one)" in remarks
    assert named.id == "question_id"
    assert layout_with(dataset(rows, {}), {"answer": "answer"}).id is None


@pytest.mark.parametrize("other", [{"image": GREEN}, {"answer": "8"}, {"question": "y?"}])
def test_rows_differ_by_question_answer_or_picture(other):
    """Equal rows may share a name."""
    row = {"id": "a", "image": RED, "question": "x?", "answer": "7"}

    assert of_words([row, row, {**row, "id": "b"}])[0].id == "id"
    assert of_words([row, {**row, **other}])[0].id is None


class SaysYes:
    """An engine."""

    def describe(self):
        return {"model": "says yes"}

    def complete(self, requests, sampling):
        return [[Completion("yes", 1, False)] for _ in requests]


def test_both_questions_about_a_picture_are_kept():
    """In a plain map, too, which sees the rows of a batch."""
    rows = [{"question_id": "a.png", "image": RED, "question": q, "answer": "yes"} for q in ("A dog?", "A cat?")]
    ds = dataset(rows, {})
    collector = Rollouts(SaysYes(), attempts=1)

    for evidence in (collect_evidence(ds, collector), ds.map(collector, batched=True)):
        assert len(set(evidence["rap_id"])) == 2


def test_text_that_a_question_may_lean_on_is_named():
    """M3CoT has a context, ScienceQA a hint, both often empty."""
    row = {"image": RED, "question": "x?", "answer": "7", "hint": ""}

    assert (
        "'context' has text in 1 of 2 rows, and is not asked"
        in of_words([{**row, "context": c} for c in ("", "She has 3.")])[1]
    )
    assert of_words([row])[1] == ""


def test_lists_of_numbers_are_said_to_be_taken_as_alternatives():
    """A box is not four answers."""
    row = {"image": RED, "question": "Where?", "answer": [0.1, 0.2, 0.3, 0.4]}

    assert "lists of numbers, and a reply with any one of them is right" in of_words([row])[1]
    assert of_words([{**row, "answer": ["a", "b"]}])[1] == ""


def test_numbers_for_yes_and_no_are_read_with_their_names():
    """As numbers and as texts of them; a question about a number takes the number."""
    rows = [{"image": RED, "question": "Is it red?", "answer": n} for n in ("1", "0")]
    ds = dataset(rows, {})
    layout, _ = settle(layout_with(ds, {"labels": ("no", "yes")}), ds)
    counted = dataset([{"image": RED, "question": "Is it known how many dogs there are?", "answer": "1"}], {})

    assert [read_question(row, layout).answer for row in rows_of(ds.with_format("arrow")[:])] == ["yes", "no"]
    (row,) = rows_of(counted.with_format("arrow")[:])
    assert read_question(row, settle(None, counted).layout).answer == "1"
