"""Every option of every public callable is checked when it is given: the error names the option, its value and its range."""

import ast
import importlib
import inspect
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

import hf_rap
from hf_rap import add_scores, cde_score, difficulty_score, fit_prior, select_cognitive
from hf_rap.errors import SettingError
from hf_rap.options import check_flags, check_number, check_whole, limits
from hf_rap.rows.choices import spelled
from hf_rap.rows.prompts import BARE
from hf_rap.select.predicates import holds


@dataclass(frozen=True)
class Engine:
    """One that can all, and is never asked."""

    continues = True

    def complete(self, requests, sampling):
        raise AssertionError

    attend = log_likelihoods = complete

    def describe(self):
        return {"model": "never asked"}


FLOATS = List(Value("float64"))
DS = Dataset.from_dict(
    {
        "problem": ["?"] * 2,
        "images": [[], []],
        "answer": ["1"] * 2,
        "rap_image_rewards": [[1.0, 0.0], [1.0, 1.0]],
        "rap_text_rewards": [[0.0, 0.0], [1.0, 1.0]],
        "rap_likelihood_cde": [0.5, 1.0],
    },
    Features(
        {
            **{name: Value("string") for name in ("problem", "answer")},
            "images": List(Value("string")),
            **dict.fromkeys(("rap_image_rewards", "rap_text_rewards"), FLOATS),
            "rap_likelihood_cde": Value("float32"),
        }
    ),
)
SCORED = add_scores(DS, cde_score, difficulty_score)
SELECTION = select_cognitive(SCORED, replace_easy=False)
ENGINE = Engine()
ROLLOUTS = hf_rap.Rollouts(ENGINE)
# What has to be given beside the option.
GIVEN = {
    "Attention": {"engine": ENGINE},
    "Controls": {"engine": ENGINE},
    "DifficultyWeighted": {"reward_func": len},
    "EndpointEngine": {"url": "http://host/v1", "model": "m"},
    "Layout": {"question": "q", "images": None, "answer": "a"},
    "Likelihood": {"engine": ENGINE},
    "ReplyLikelihood": {"engine": ENGINE},
    "LIMRScore": {"epoch_means": (0.5,)},
    "ProcessLayout": {"question": "q", "steps": "s"},
    "PromptStates": {"engine": ENGINE},
    "Rollouts": {"engine": ENGINE},
    "Run": {"ds": DS, "collector": ROLLOUTS, "url": "memory://never-made"},
    "StepRewards": {"engine": ENGINE},
    "TransformersEngine": {"model": "m"},
    "VLLMEngine": {"model": "m"},
    "add_epoch_rewards": {"ds": DS, "files": "nowhere", "steps_per_epoch": 1},
    "add_scores": {"ds": DS},
    "mix_datasets": {"sources": {"a": DS}},
    "recognise_layout": {"columns": ["question", "image", "answer"]},
    "add_pass_rates": {"ds": DS},
    "add_rollout_file": {"ds": DS, "path": "nowhere"},
    "list_doubts": {"ds": DS},
    "regrade": {"ds": DS},
    "annotate_steps": {"ds": DS},
    "check_export": {"source": DS},
    "collect_adaptive": {"ds": DS, "rollouts": ROLLOUTS, "stopping": "exact"},
    "collect_evidence": {"ds": DS, "collector": ROLLOUTS},
    "collect_probed": {"ds": DS, "rollouts": ROLLOUTS},
    "collect_in_run": {"ds": DS, "collector": ROLLOUTS, "url": "memory://never-made"},
    "compare_methods": {"ds": SCORED, "methods": ["rap"]},
    "diff": {"old": "a.parquet", "new": "b.parquet"},
    "difficulty_weighted": {"reward_func": len, "group_size": 8},
    "estimate": {"ds": DS, "collector": ROLLOUTS, "rows": 1},
    "export": {"source": DS, "path": "never-made"},
    "export_internvl_prm": {"ds": DS, "path": "never-made.jsonl"},
    "export_trl_prm": {"ds": DS, "path": "never-made.parquet"},
    "fit_prior": {"ds": DS},
    "fit_probe": {"ds": DS},
    "inspect_dataset": {"ds": DS},
    "load": {"repo_id": "user/name"},
    "load_process_rewards": {"source": DS},
    "load_source": {"source": "user/name"},
    "one_row_per_response": {"evidence": DS},
    "order_curriculum": {"ds": SCORED},
    "publish": {"selection": SELECTION, "repo_id": "user/name", "version": "1.0.0"},
    "publish_to_folder": {"selection": SELECTION, "path": "never-made"},
    "pull": {"repo": "user/name", "version": "1.0.0", "to": "trl", "path": "never-made"},
    "report": {"selection": SELECTION, "path": "never-made.html"},
    "reselect": {"repo_id": "user/name"},
    "select_cognitive": {"ds": SCORED},
    "select_difficulty": {"ds": SCORED},
    "select_hardest": {"ds": SCORED, "budget": 1},
    "select_limr": {"ds": SCORED},
    "select_longest": {"ds": SCORED, "budget": 1},
    "select_random": {"ds": SCORED, "budget": 1},
    "select_s1": {"ds": SCORED, "budget": 1},
    "select_top": {"ds": SCORED, "ratio": 0.5},
    "split_stages": {"ds": SCORED},
    "stability": {"ds": SCORED, "rule": {}},
    "yank": {"repo_id": "user/name", "version": "1.0.0", "why": "broken"},
}

FLAG = ("no", "'no': it takes True or False")
CORRECT = (0, "0: it takes a number above 0")
GRADING = {
    "verifier": ("anls", "'anls': it takes a callable (reply, gold, question)"),
    "cut": ("short", "'short': it takes one of "),
}
SHARE_WRONG = (1, "1: it takes a number above 0 and below 1")
AT_LEAST_1 = (0, "0: it takes a whole number of 1 or more")
AT_LEAST_1_OR_NONE = (0, "0: it takes a whole number of 1 or more, or None")
SEED = (0.5, "0.5: it takes a whole number")
TEXT = (5, "5: it takes a text")
TEXT_OR_NONE = (5, "5: it takes a text, or None")
RATE = (1.5, "1.5: it takes a number between 0 and 1")
DIFFERENCE = (7, "7: it takes a number between -1 and 1")
SHARE_OR_NONE = (95, "95: it takes a number above 0 and below 1, or None")
THRESHOLD = (1.0, "1.0: it takes a number of 0 or more and below 1")
ENGINES = (
    "Qwen/Qwen2.5-VL-3B-Instruct",
    "'Qwen/Qwen2.5-VL-3B-Instruct': it takes an engine such as TransformersEngine(",
)
LAYOUT = ({"question": "q"}, "{'question': 'q'}: it takes a Layout(question=..., images=..., answer=...), or None to ")
COLLECTOR = (ENGINE, "Engine(): it takes Rollouts(engine), Attention(engine) or another collector")
NEW_FOLDER = (5, "5: it takes a folder that does not exist yet, or is empty")
URL = (5, "5: it takes a folder, or a URL such as s3://bucket/run")
BUDGET = (1.5, "1.5: it takes a number of rows (1, 2, ...) or a share (above 0.0, up to 1.0)")
VERSION = ("1.0", "'1.0': it takes three numbers, such as '1.0.0'")
DICTIONARY = ("top_k", "'top_k': it takes a dictionary, or None")
WITHDRAWN = {"allow_withdrawn": FLAG}
SAMPLING = {
    "temperature": (-1, "-1: it takes a number of 0 or more"),
    "top_p": (0, "0: it takes a number above 0 and up to 1"),
    "top_k": (-1, "-1: it takes a whole number of 0 or more"),
    "max_new_tokens": AT_LEAST_1,
    "seed": SEED,
}
HINTS = {
    "column": TEXT_OR_NONE,
    "templates": ("easy", "'easy': it takes pairs of a largest difficulty and a sentence"),
}
MEDIA_ROOTS = (5, "5: it takes folders that exist")
WEIGHTING = {
    "reward_func": (0.5, "0.5: it takes a reward function of the trainer"),
    "weight": (
        "steep",
        "'steep': it takes one of linear, inverse, quadratic, exponential, logistic, or a function of ",
    ),
    "group_size": (1, "1: it takes a whole number of 2 or more"),
    "correct": (1.0, "1.0: it takes a function of a reward, or None"),
    "id_column": TEXT_OR_NONE,
}
RUN = {
    "collector": COLLECTOR,
    "url": URL,
    "media_roots": MEDIA_ROOTS,
    "rows_per_part": AT_LEAST_1_OR_NONE,
    "retry_errors": FLAG,
    "continue_cut": FLAG,
    "max_errors": (5, "5: it takes a number between 0 and 1"),
    "max_total_tokens": AT_LEAST_1_OR_NONE,
    "rank": (1, "1: it takes a whole number between 0 and 0"),
    "world": AT_LEAST_1,
    "progress": ("log.txt", "'log.txt': it takes an open text file, or None"),
    "log": ("trackio", "'trackio': it takes a function of a dictionary of numbers, or None"),
}
MARKS = (7, "7: it takes a file (.csv, .tsv, .json, .jsonl, .parquet), {rap_id: mark}")
RANKED = {"budget": BUDGET, "stratify_by": TEXT_OR_NONE, "seed": SEED, "overrides": MARKS}
PROMPTS = {
    "prompt": ("qwen", "'qwen': it takes one of default, trl, easyr1"),
    "instruction": (7, "7: it takes a text"),
}
EXPORT = {
    "hints": FLAG,
    "to": ("deepspeed", "'deepspeed': it takes one of universal, trl, easyr1"),
    "limits": ({"max_images": 1}, "{'max_images': 1}: it takes Limits(...), or None"),
    "fix": FLAG,
    "prompt": PROMPTS["prompt"],
}
PUBLISHED = {
    "hints": FLAG,
    "report": FLAG,
    "selection": (5, "5: it takes what select_cognitive(ds) returns"),
    "source": ("user/name", "'user/name': it takes what describe_source(...) returns, or None"),
    "licence": TEXT_OR_NONE,
    "layout": LAYOUT,
    "random_control": FLAG,
    "version": VERSION,
    "media_roots": MEDIA_ROOTS,
}
# Callable -> option -> a wrong value, and how the message goes on behind "<option> is ".
WRONG = {
    "ACEScore": {
        "part": ("middle", "'middle': it takes one of all, thinking, answer"),
        "normalise": ("prompt", "'prompt': it takes one of all, reply"),
        "form": ("other", "'other': it takes one of literal, windowed"),
        "sigma": (0, "0: it takes a number above 0"),
        "heads": ("median", "'median': it takes one of max, mean"),
        "attempts": ("wrong", "'wrong': it takes one of all, correct, first"),
        "min_column": AT_LEAST_1_OR_NONE,
    },
    "AddDifficultyHint": HINTS,
    "Attention": {
        "engine": ENGINES,
        "window": (1, "1: it takes a whole number of 2 or more"),
        "other_model": FLAG,
        **PROMPTS,
        "layout": LAYOUT,
    },
    "BISScore": {"alpha": (-1, "-1: it takes a number of 0 or more"), "threshold": THRESHOLD},
    "CDEScore": {
        "rollouts": ("rollouts", "'rollouts': it takes a collector, or None"),
        "prior": (0.5, "0.5: it takes what fit_prior(ds) gives, or None"),
        "min_cde": DIFFERENCE,
        "confidence": SHARE_OR_NONE,
        "control": ("white", "'white': it takes one of text, blank, shuffled"),
    },
    "Controls": {
        **GRADING,
        "engine": ENGINES,
        "arms": ("blank", "'blank': it takes some of blank, shuffled, each once"),
        "seed": SEED,
        "donors_per_row": AT_LEAST_1_OR_NONE,
        "layout": LAYOUT,
        "donors": (5, "5: it takes what `over(ds)` sets"),
    },
    "DifficultyScore": {
        "prior": (0.5, "0.5: it takes what fit_prior(ds) gives, or None"),
        "low": (0.9, "0.9: it takes a pass rate of at most high=0.87"),
        "high": RATE,
        "confidence": SHARE_OR_NONE,
    },
    "DifficultyWeighted": WEIGHTING,
    "EndpointEngine": {
        "url": ("host:8000", "'host:8000': it takes an http or https URL such as http://host:8000/v1"),
        "model": ("", "'': it takes a text"),
        "revision": TEXT_OR_NONE,
        "token_env": TEXT_OR_NONE,
        "concurrency": AT_LEAST_1,
        "timeout": (-1, "-1: it takes a number of 0 or more"),
        "retries": (-1, "-1: it takes a whole number of 0 or more"),
        "extra_body": DICTIONARY,
        "max_reply_bytes": AT_LEAST_1,
        "wait_for_server": (-1, "-1: it takes a number of 0 or more"),
    },
    "Exact": {
        "min_cde": (
            "q0.9",
            "'q0.9': it takes a number between -1 and 1: attempts can only be spared at one that is known",
        ),
        "replace_easy": FLAG,
        "min_replacement_cde": DIFFERENCE,
        "replacements": ("all", "'all': it takes a number of rows (0, 1, ...), a share of those that leave"),
        "seed": SEED,
    },
    "GoldDoubtScore": {"layout": LAYOUT, "verifier": GRADING["verifier"], "prior": SHARE_WRONG},
    "Layout": {
        "question": TEXT,
        "images": (5, "5: it takes the name of a column, a list of names, or None"),
        "answer": TEXT,
        "id": TEXT_OR_NONE,
        "source": TEXT_OR_NONE,
        "name": TEXT,
        "choices": ([], "[]: it takes the name of a column, a list of names, or None"),
        "answers_as": ("number", "'number': it takes one of named, letter, text, index0, index1, or None"),
        "choice_form": ("{text}", "'{text}': it takes a text with {letter} and {text}, such as '{letter}. {text}'"),
        "turns": ("all", "'all': it takes one of first, last, each, or None"),
        "several": ("all", "'all': it takes one of any, majority"),
        "labels": ([1], "[1]: it takes a list of texts"),
        "ignore": (5, "5: it takes a list of texts"),
        "fault": TEXT_OR_NONE,
        "media_roots": (5, "5: it takes a list of texts"),
    },
    "mix_datasets": {
        "sources": (["a"], "['a']: it takes a dictionary by name"),
        "layouts": ([1], "[1]: it takes a dictionary by name"),
        "without": ([1], "[1]: it takes a dictionary by name"),
    },
    "Likelihood": {"engine": ENGINES, "lead": TEXT, "tail": TEXT, **PROMPTS, "layout": LAYOUT},
    "ReplyLikelihood": {
        "engine": ENGINES,
        "arms": ("blank", "'blank': it takes some of text, blank, shuffled, each once"),
        "seed": SEED,
        "prompt": PROMPTS["prompt"],
        "other_model": FLAG,
        "layout": LAYOUT,
        "donors": (5, "5: it takes what `over(ds)` sets"),
    },
    "VisualDependenceScore": {"arm": ("image", "'image': it takes one of text, blank, shuffled")},
    "PromptStates": {
        "engine": ENGINES,
        "depths": ((0, 1.0), "(0, 1.0): it takes numbers in (0, 1], such as (0.5, 1.0)"),
        "prompt": PROMPTS["prompt"],
        "layout": LAYOUT,
    },
    "fit_probe": {"min_cde": DIFFERENCE, "by": (5, "5: it takes a text, or None"), "min_auc": RATE},
    "LikelihoodCDEScore": {
        "scale": ("nats", "'nats': it takes one of log, probability"),
        "pool": ("max", "'max': it takes one of sum, mean"),
    },
    "Limits": {
        "hold_out": FLAG,
        "max_prompt_tokens": AT_LEAST_1_OR_NONE,
        "prompt_tokens": (512, "512: it takes a function of chat and images, or None"),
        "min_pixels": AT_LEAST_1_OR_NONE,
        "max_pixels": AT_LEAST_1_OR_NONE,
        "max_images": AT_LEAST_1_OR_NONE,
        "rollout_batch": (512.5, "512.5: it takes a whole number of 1 or more, or None"),
        "usual_verifier": FLAG,
        "val_rows": (-1, "-1: it takes a whole number of 0 or more, or None"),
        "gpus": AT_LEAST_1,
        "group": (1, "1: it takes a whole number of 2 or more"),
        "model": TEXT_OR_NONE,
    },
    "LIMRScore": {"epoch_means": ((0.5, 1.5), "1.5: it takes a number between 0 and 1, or None")},
    "recognise_layout": {
        "question": TEXT_OR_NONE,
        "answer": TEXT_OR_NONE,
        "images": (5, "5: it takes the name of a column, a list of names, or None"),
        "choices": (5, "5: it takes the name of a column, a list of names, or None"),
        "ignore": (5, "5: it takes a list of texts"),
    },
    "PromptTemplate": {
        "system": (" ", "' ': it takes a text, or None"),
        "prefix": ("See <image>: ", "'See <image>: ': it takes a text without <image>"),
        "suffix": TEXT,
        "chat_template_kwargs": (
            {"tokenize": True},
            "{'tokenize': True}: it takes variables of a chat template; ['tokenize'] is none",
        ),
        "keep_system": FLAG,
    },
    "ProcessLayout": {
        "question": TEXT,
        "steps": TEXT,
        "scores": TEXT_OR_NONE,
        "source": TEXT_OR_NONE,
        "id": TEXT_OR_NONE,
    },
    "Quantile": {"q": (90, "90: it takes a number between 0 and 1")},
    "RemoveDifficultyHint": HINTS,
    "Rollouts": {
        "states": FLAG,
        **GRADING,
        "correct": CORRECT,
        "engine": ENGINES,
        "attempts": AT_LEAST_1,
        **SAMPLING,
        **PROMPTS,
        "layout": LAYOUT,
        "attention": FLAG,
        "keep_ids": FLAG,
        "first_attempt": (-1, "-1: it takes a whole number of 0 or more"),
        "arm": ("both", "'both': it takes one of image, text, or None"),
    },
    "Run": RUN,
    "Sampling": SAMPLING,
    "Probing": {
        "recall": (1, "1: it takes a number above 0 and below 1"),
        "min_cde": DIFFERENCE,
        "by": (5, "5: it takes a text, or None"),
        "min_auc": RATE,
        "first": (3, "3: it takes a whole number of"),
        "audit": (5, "5: it takes a number between 0 and 1"),
        "settle": AT_LEAST_1,
        "seed": SEED,
    },
    "Sequential": {
        "probe_prior": FLAG,
        "min_cde": DIFFERENCE,
        "budget": (1, "1: it takes a number between 2 and 64, or None"),
        "agreement": (1.5, "1.5: it takes a number above 0 and up to 1, or None"),
        "start": AT_LEAST_1,
        "most": (1, "1: it takes a whole number of 2 or more"),
    },
    "StepRewards": {
        "engine": ENGINES,
        "continuations": AT_LEAST_1,
        "response": TEXT,
        "split": ("\n\n", r"'\n\n': it takes a function from a response to its steps"),
        "early_stop": FLAG,
        **SAMPLING,
        **PROMPTS,
        "layout": LAYOUT,
    },
    "TransformersEngine": {
        "model": (None, "None: it takes a Hub id, or the folder of a model"),
        "revision": TEXT_OR_NONE,
        "device": (0, "0: it takes a text, or None"),
        "dtype": ("fp16", "'fp16': it takes one of auto, bfloat16, float16, float32"),
        "attn_implementation": TEXT_OR_NONE,
        "batch_size": (0, """0: it takes a whole number of 1 or more, or "auto\""""),
        "trust_remote_code": FLAG,
        "processor_options": DICTIONARY,
        "adapter": (5, "5: it takes a Hub id as name or name@revision, the folder of an adapter, or None"),
        "allow_missing": ("visual.*", """'visual.*': it takes names or patterns such as ("visual.*",)"""),
    },
    "VLLMEngine": {
        "model": (None, "None: it takes a Hub id, or the folder of a model"),
        "revision": TEXT_OR_NONE,
        "dtype": ("fp16", "'fp16': it takes one of auto, bfloat16, float16, float32"),
        "adapter": (5, "5: it takes a Hub id as name or name@revision, the folder of an adapter, or None"),
        "processor_options": DICTIONARY,
        "trust_remote_code": FLAG,
        "use_generation_config": FLAG,
        "max_model_len": AT_LEAST_1_OR_NONE,
        "tensor_parallel_size": AT_LEAST_1,
        "data_parallel_size": AT_LEAST_1,
        "gpu_memory_utilization": (1.5, "1.5: it takes a number above 0 and up to 1"),
        "max_num_seqs": AT_LEAST_1_OR_NONE,
        "enforce_eager": FLAG,
        "start_timeout": (0, "0: it takes a number above 0"),
        "seeded": FLAG,
        "options": DICTIONARY,
    },
    "add_epoch_rewards": {
        "steps_per_epoch": (2.5, "2.5: it takes a whole number of 1 or more"),
        "reward": TEXT_OR_NONE,
        "id_column": TEXT_OR_NONE,
        "prompt": ("Solve: {}", "'Solve: {}': it takes a function from a question to its prompt, or None"),
    },
    "add_scores": {"scorers": ("cde", "'cde': it takes scores such as cde_score, one after the other")},
    "annotate_steps": {"rewards": (ROLLOUTS, "Rollouts(engine=Engine(), attempts=5,")},
    "check_export": {**EXPORT, "layout": LAYOUT},
    "collect_probed": {
        "rollouts": (5, "5: it takes Rollouts(engine)"),
        "recall": (1, "1: it takes a number above 0 and below 1"),
        "probing": (0.99, "0.99: it takes Probing(...), or None"),
        "stopping": ("fast", "'fast': it takes one of exact, sequential"),
        "url": URL,
    },
    "collect_adaptive": {
        "rollouts": (ENGINE, "Engine(): it takes Rollouts(engine)"),
        "stopping": ("fast", "'fast': it takes one of exact, sequential"),
        "url": URL,
    },
    "collect_evidence": {"collector": COLLECTOR, "rows_per_step": AT_LEAST_1_OR_NONE, "media_roots": MEDIA_ROOTS},
    "collect_in_run": RUN,
    "compare_methods": {
        "overrides": MARKS,
        "methods": ("rap", "'rap': it takes some of rap, rap-paper, rap-released"),
        "budget": AT_LEAST_1_OR_NONE,
        "seed": SEED,
    },
    "diff": {"old": TEXT, "new": TEXT, "group_by": TEXT_OR_NONE},
    "difficulty_weighted": WEIGHTING,
    "estimate": {
        "collector": COLLECTOR,
        "rows": AT_LEAST_1,
        "gpu_hour_price": (-2, "-2: it takes a number of 0 or more, or None"),
    },
    "export": {**EXPORT, "path": NEW_FOLDER, "layout": LAYOUT, "drop": FLAG, "media_roots": MEDIA_ROOTS},
    "export_internvl_prm": {
        "path": ("a.json", "'a.json': it takes the name of a file that ends in .jsonl"),
        "form": ("xml", "'xml': it takes one of prm-token, turns"),
        "threshold": THRESHOLD,
        "soft": FLAG,
        "system": TEXT_OR_NONE,
        "early_stop": FLAG,
        "root": TEXT,
        "counts": FLAG,
    },
    "export_trl_prm": {
        "counts": FLAG,
        "path": (5, "5: it takes the name of a file that ends in .parquet"),
        "threshold": THRESHOLD,
    },
    "fit_prior": {"control": ("white", "'white': it takes one of text, blank, shuffled"), "probe": (5, "5: ")},
    "inspect_dataset": {"layout": LAYOUT, "prompt": PROMPTS["prompt"]},
    "list_runs": {"url": URL},
    "load": {"repo_id": TEXT, "config": TEXT, "version": VERSION, "streaming": FLAG, **WITHDRAWN},
    "load_process_rewards": {
        "source": (5, "5: it takes a folder, files, a Hub id or a Dataset"),
        "images": (5, "5: it takes the folder that holds the image files, or None"),
        "layout": (hf_rap.Layout("q", None, "a"), "Layout(question='q'"),
        "strict": FLAG,
        "open_images": FLAG,
    },
    "load_source": {
        "source": (5, "5: it takes a Hub id, a folder or files"),
        "config": TEXT_OR_NONE,
        "revision": TEXT_OR_NONE,
        "split": TEXT_OR_NONE,
        "media_roots": MEDIA_ROOTS,
    },
    "one_row_per_response": {"column": TEXT},
    "order_curriculum": {
        "by": TEXT,
        "buckets": ([0.5, 0.2], "[0.5, 0.2]: it takes a number above 0, or an ascending list of scores"),
        "shuffle_within": FLAG,
        "seed": SEED,
    },
    "publish": {
        **PUBLISHED,
        "repo_id": TEXT,
        "bump": ("next", "'next': it takes one of major, minor, patch"),
        "private": FLAG,
        "despite_licence": FLAG,
        "allow_lower": FLAG,
        "dry_run": FLAG,
    },
    "publish_to_folder": {**PUBLISHED, "path": NEW_FOLDER, "name": TEXT_OR_NONE},
    "pull": {
        **EXPORT,
        "repo": (5, "5: it takes a Hub id, or the folder of a version"),
        "version": (1.0, "1.0: it takes three numbers, such as '1.0.0'"),
        "path": NEW_FOLDER,
        "config": TEXT,
        "drop": FLAG,
        **WITHDRAWN,
    },
    "add_pass_rates": {
        "column": TEXT_OR_NONE,
        "attempts": (0, "0: it takes a number of 1 or more, the name of a column, or None"),
        "scale": ("points", "'points': it takes one of fraction, percent, count, or None"),
        "unknown": ("none", "'none': it takes a number, or None"),
        "model": TEXT_OR_NONE,
        "sampling": TEXT_OR_NONE,
    },
    "add_rollout_file": {
        "by": TEXT_OR_NONE,
        "correct": ("1", "'1': it takes a number, or None"),
        "model": TEXT_OR_NONE,
        "sampling": TEXT_OR_NONE,
    },
    "list_doubts": {"least": RATE, "layout": LAYOUT, "verifier": GRADING["verifier"], "prior": SHARE_WRONG},
    "regrade": {**GRADING, "correct": CORRECT, "layout": LAYOUT},
    "report": {
        "selection": ("no-version", "'no-version': it takes what select_cognitive returns, or a version"),
        "path": (5, "5: it takes a name that ends in .html, or a new folder"),
        "before": ("no-version", "'no-version': it takes what select_cognitive returns, or a version"),
        "title": TEXT_OR_NONE,
        "source": TEXT_OR_NONE,
        "layout": LAYOUT,
        "media_roots": MEDIA_ROOTS,
    },
    "reselect": {
        "repo_id": TEXT,
        "version": VERSION,
        "options": ("min_cde=0.3", "'min_cde=0.3': it takes a dictionary"),
        **WITHDRAWN,
    },
    "select_cognitive": {
        "probe_prior": FLAG,
        "text_rows": ("keep", "'keep': it takes one of drop, band"),
        **RANKED,
        "min_cde": (7, "7: it takes a number between -1 and 1, or a quantile such as 'q0.9'"),
        "max_ace": (-0.1, "-0.1: it takes a number of 0 or more, or a quantile such as 'q0.9'"),
        "replace_easy": FLAG,
        "method": ("best", "'best': it takes one of rap, rap-paper, rap-released, difficulty"),
        "min_replacement_cde": DIFFERENCE,
        "replacements": ("all", "'all': it takes a number of rows (0, 1, ...), a share of those that leave"),
        "min_probability": SHARE_OR_NONE,
    },
    "select_difficulty": {
        "overrides": MARKS,
        "low": (0.9, "0.9: it takes a pass rate of at most high=0.87"),
        "high": (87, "87: it takes a number between 0 and 1"),
        "min_probability": SHARE_OR_NONE,
    },
    "select_hardest": RANKED,
    "select_limr": {"min_limr": (1.5, "1.5: it takes a number up to 1"), "overrides": MARKS},
    "select_longest": RANKED,
    "select_random": RANKED,
    "select_s1": RANKED,
    "select_top": {
        "quotas": ("half", "'half': it takes one of exact, release"),
        "overrides": MARKS,
        "by": TEXT,
        "ratio": (10, "10: it takes a number above 0 and up to 1"),
        "count": AT_LEAST_1_OR_NONE,
        "per": TEXT_OR_NONE,
        "alpha": (-0.5, "-0.5: it takes a number of 0 or more, or None"),
        "lowest": FLAG,
        "max_per_question": AT_LEAST_1_OR_NONE,
        "drop_duplicates": FLAG,
        "ties": ("last", "'last': it takes one of first, random, or None"),
        "seed": SEED,
    },
    "split_stages": {
        "overrides": MARKS,
        "low": (-0.1, "-0.1: it takes a number between 0 and 1"),
        "high": RATE,
        "middle": (0.95, "0.95: it takes a number between 0.084 and 0.87, or None"),
        "sizes": (2600, "2600: it takes two numbers of rows, such as (2000, 600)"),
        "seed": SEED,
    },
    "stability": {
        "rule": ("rap", "'rap': it takes options of select_cognitive by name, or a Selection"),
        "attempts": (5, "5: it takes whole numbers of 1 or more, such as (5, 8, 16, 32)"),
        "draws": AT_LEAST_1_OR_NONE,
        "seed": (-1, "-1: it takes a whole number of 0 or more"),
    },
    "yank": {"repo_id": TEXT, "version": VERSION, "why": TEXT},
}
# Options that go in the place of a given one.
INSTEAD = {("select_top", "count"): "ratio", ("publish", "bump"): "version"}

# Rows and files to work on, of which errors of their own speak; clients and results; what counts versions of our code.
DATA = {
    "ds",
    "batch",
    "evidence",
    "files",
    "columns",
    "response",
    "args",
    "kwargs",
    "api",
    "version",
    "control",  # the old name of random_control
    "verifier_version",
}
SOURCES = {
    "add_rollout_file": {"path"},
    "check_export": {"source"},
    "export": {"source"},
    "collect_adaptive": {"options"},
    "collect_probed": {"options"},
    "collect_in_run": {"options"},
}


def public_name(name):
    """Of the package, or of the room that it has moved to."""
    home = hf_rap._MOVED_TO.get(name)
    return getattr(importlib.import_module(f"hf_rap.{home}") if home else hf_rap, name)


RESULTS = {
    *(
        "Comparison",
        "Completion",
        "Difference",
        "Doubt",
        "Doubts",
        "EpochReport",
        "Estimate",
        "Exported",
        "Handoff",
        "Held",
        "Inspection",
    ),
    *(
        "Mixture",
        "Prescreened",
        "Prior",
        "Probe",
        "ProbeReport",
        "Published",
        "Release",
        "Request",
        "Selection",
        "Source",
        "SourceInfo",
        "Stability",
        "Stages",
    ),
    # What users write their own with.
    *(
        "Citation",
        "Collector",
        "Column",
        "Decision",
        "FunctionScorer",
        "Grading",
        "Method",
        "Reason",
        "Scorer",
        "Settings",
        "Step",
    ),
    *("add_plugin", "describe_source", "grader", "scorer"),  # names and places of users' own
}


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in WRONG.items() for option in options], ids=str
)
def test_a_wrong_option_is_told_when_it_is_given(name, option, tmp_path, monkeypatch):
    """Its name, its value and what it takes; nothing is loaded, asked or written."""
    monkeypatch.chdir(tmp_path)
    value, goes_on = WRONG[name][option]
    given = {key: one for key, one in GIVEN.get(name, {}).items() if key != INSTEAD.get((name, option))}
    call = public_name(name)
    with pytest.raises(SettingError) as caught:
        call(given["ds"], value) if option == "scorers" else call(**{**given, option: value})
    assert str(caught.value).startswith(f"{option} is {goes_on}")
    assert list(Path(tmp_path).iterdir()) == []


def test_no_option_of_a_public_callable_is_left_out():
    """What is neither checked here nor data does not exist."""
    left_out = {}
    for name in (*hf_rap._HOME_OF, *hf_rap._MOVED_TO):
        call = public_name(name)
        if not callable(call) or name in RESULTS or (isinstance(call, type) and issubclass(call, BaseException)):
            continue
        options = set(inspect.signature(call).parameters) - SOURCES.get(name, set()) - set(WRONG.get(name, ()))
        if options - DATA:
            left_out[name] = options - DATA
    assert left_out == {}


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": np.int64(5), "temperature": np.float32(0.5), "top_p": Fraction(1, 2), "attention": np.True_},
        {"seed": -3, "top_k": 0, "first_attempt": 0, "prompt": BARE},
    ],
)
def test_numbers_of_numpy_are_numbers(options):
    """And so are the ends of every range."""
    assert {name: getattr(hf_rap.Rollouts(ENGINE, **options), name) for name in options} == options


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), "1", None, 1 + 0j, np.array([1, 2])])
def test_what_is_no_number_is_refused(value):
    """Flags, what is not finite, and texts with a number among them."""
    for check in (check_number, check_whole):
        with pytest.raises(SettingError, match=r"^x is .*: it takes a (whole )?number\.$"):
            check("x", value)


@pytest.mark.parametrize("value", ["no", "", None, 2, [], 0.5])
def test_what_is_no_flag_is_refused(value):
    """A text would count as yes, whatever it says."""
    with pytest.raises(SettingError, match=r"^x is .*: it takes True or False\."):
        check_flags(x=value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"least": 0, "most": 1}, " between 0 and 1"),
        ({"least": 0, "below": 1}, " of 0 or more and below 1"),
        ({"above": 0, "most": 1}, " above 0 and up to 1"),
    ],
)
def test_a_range_in_words(given, words):
    """As it is checked: the words come from the same numbers."""
    assert limits(**given) == words


def test_a_long_value_is_shortened():
    """An error stays one line."""
    with pytest.raises(SettingError, match=r"^x is \[0, 0, 0, .*\.\.\.: it takes a number\.$") as caught:
        check_number("x", [0] * 10_000)
    assert len(str(caught.value)) < 130


def test_options_that_belong_together_are_told_when_they_are_given():
    """A prior of another control, a confidence without a prior, a floor without replacements."""
    prior = fit_prior(DS)
    with pytest.raises(SettingError, match="has a prior for 'text'"):
        hf_rap.CDEScore(prior=prior, control="blank")
    for score in (hf_rap.CDEScore, hf_rap.DifficultyScore):
        with pytest.raises(SettingError, match="needs the prior of the dataset"):
            score(confidence=0.9)
        assert score(prior=prior, confidence=0.8).confidence == 0.8
    with pytest.raises(SettingError, match="replace_easy=True"):
        hf_rap.Exact(replace_easy=False, min_replacement_cde=0.3)


def test_another_thread_that_parses_changes_no_row(monkeypatch):
    """Python 3.11.7 counts the depth of all threads in one place: options of a row, and the reasons for its fate."""
    parse, mismatches = ast.parse, []

    def disturbed(text, *others, **options):
        if len(mismatches) % 3 < 2:
            mismatches.append(text)
            raise SystemError("AST constructor recursion depth mismatch (before=141, after=74)")
        mismatches.append(text)
        return parse(text, *others, **options)

    with monkeypatch.context() as patched:  # undone before pytest parses a line that fails
        patched.setattr(ast, "parse", disturbed)
        options, held = spelled("('$6', '$7')", list, tuple), holds("0.25 < rap_cde", {"rap_cde": 0.5}, {})
    assert (options, held, len(mismatches)) == (("$6", "$7"), True, 6)
