"""Every number that the methods were published with, and how to cite them, in one place."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """arXiv 2506.04755, section on experiments: what `method="rap"` does unless told otherwise."""

    attempts: int = 5  # M, replies per row and arm
    temperature: float = 1.0
    min_cde: float = 0.5  # lambda_c
    max_ace: float = 0.1  # lambda_a
    sigma: float = 2.0  # scale of the attention before the column-wise product


class Released(NamedTuple):
    """The authors' selection script (Mrshenshen/RAP, select/selection.py), which `method="rap-released"` follows."""

    attempts: int = 5
    accuracy: float = (
        0.9  # what a right answer is worth, and what the format of its reply (verl/utils/reward_score/math.py)
    )
    format: float = 0.1
    right: float = 1.0  # a reward that counts as correct
    nearly_right: float = 0.9  # a reward that counts as solved for "easy" and "one right"
    core_similarity: float = 0.6
    core_gain: float = 0.2
    pool_similarity: float = 0.85
    pool_gain: float = 0.2
    pool_large_gain: float = 0.6
    pool_share: float = 0.1
    seed: int = 42


class DifficultyPrior(NamedTuple):
    """arXiv 2505.13261: the band of pass rates of the base model, and the sizes of the two stages."""

    low: float = 0.084
    high: float = 0.87
    stage_one: int = 2_000
    stage_two: int = 600


class Limr(NamedTuple):
    """arXiv 2502.11886: rows whose rewards follow the mean curve at least this closely."""

    min_limr: float = 0.6


class BalancedInformation(NamedTuple):
    """arXiv 2602.04145: what reliability counts where labels are not mixed.

    The paper names 0.05, and so does the default of its script (JinYuanLi0012/Balanced-Info-MPRM,
    scripts/build_bis_subset.py). The README of the release gives 0.2 with its command for 10 %; in our own study
    (docs/bis.md) that is level with random rows.
    """

    alpha: float = 0.05
    readme_alpha: float = 0.2
    trusted_above: float = 0.5  # ours: the paper has the mean score of positive steps, and no posterior


class AnyRight(NamedTuple):
    """arXiv 2504.08837: a question stays when one of so many attempts is right."""

    attempts: int = 8


class HardestTenth(NamedTuple):
    """arXiv 2508.14094: the share of the rows that the base model solves least often."""

    share: float = 0.1


class VariancePromotion(NamedTuple):
    """arXiv 2509.21268: weights of p (1 - p) and of the diversity of replies; both configs of its release have 1 and 0."""

    outcome: float = 0.8
    diversity: float = 0.2


PAPER = Paper()
RELEASED = Released()
DIFFICULTY_PRIOR = DifficultyPrior()
LIMR = Limr()
BALANCED = BalancedInformation()
ANY_RIGHT = AnyRight()
HARDEST = HardestTenth()
VARIANCE_PROMOTION = VariancePromotion()


class Number(NamedTuple):
    """A number or word that a recipe uses, where it stands, and what it is."""

    value: float | str
    where: str
    what: str


_PAPER, _OURS = "paper", "ours"
_RAP_RELEASE = "release (Mrshenshen/RAP, commit 84cc32a)"
_RAP_CONFIG = f"{_RAP_RELEASE[:-1]}, examples/config.yaml)"
_RAP_REWARD = f"{_RAP_RELEASE[:-1]}, verl/utils/reward_score/math.py)"
_RAP_ACTOR = f"{_RAP_RELEASE[:-1]}, verl/workers/actor/config.py)"
_EASYR1 = "release (hiyouga/EasyR1, commit b44b311"
_EASYR1_CONFIG = f"{_EASYR1}, examples/config.yaml)"
_DAPO = f"{_EASYR1}, examples/qwen2_5_vl_7b_geo3k_dapo.sh)"
_BIS_RELEASE = "release (JinYuanLi0012/Balanced-Info-MPRM)"
_BIS_SCRIPT = f"{_BIS_RELEASE[:-1]}, shell/scripts/visualprm400k_train.sh)"

# By the name that the recipes (hf_rap/cli/recipes) know them by.
NUMBERS = {
    "rap.attempts": Number(PAPER.attempts, _PAPER, "M, replies per row and arm"),
    "rap.temperature": Number(PAPER.temperature, _PAPER, "of these replies"),
    "rap.min_cde": Number(PAPER.min_cde, _PAPER, "threshold of the causal discrepancy; the release compares with 0.2"),
    "rap.sigma": Number(PAPER.sigma, _PAPER, "factor of every attention weight in psi"),
    "rap.max_ace": Number(PAPER.max_ace, _PAPER, "threshold of psi; the release computes none"),
    "rap.prompt": Number("rap", f"{_RAP_RELEASE[:-1]}, verl/trainer/main.py)", "prompt, word for word"),
    "rap.max_prompt_tokens": Number(2048, _RAP_CONFIG, "longest prompt"),
    "rap.max_new_tokens": Number(2048, _RAP_CONFIG, "longest reply"),
    "rap.min_pixels": Number(262_144, _RAP_CONFIG, "of a picture; smaller ones are enlarged"),
    "rap.max_pixels": Number(4_194_304, _RAP_CONFIG, "of a picture"),
    "rap.group_size": Number(5, _RAP_CONFIG, "replies per prompt in training (worker.rollout.n)"),
    "rap.rollout_batch": Number(512, _RAP_CONFIG, "prompts per step"),
    "rap.update_batch": Number(128, _RAP_CONFIG, "prompts per update (worker.actor.global_batch_size)"),
    "rap.replies_at_once": Number(4, _RAP_CONFIG, "through a GPU in an update, at most"),
    "rap.replies_read_at_once": Number(16, _RAP_CONFIG, "through a GPU without one, at most"),
    "rap.learning_rate": Number(1e-6, _RAP_CONFIG, "AdamW, constant"),
    "rap.weight_decay": Number(0.01, _RAP_CONFIG, "of AdamW"),
    "rap.gradient_norm": Number(1.0, _RAP_CONFIG, "where gradients are clipped"),
    "rap.kl": Number(0.01, _RAP_CONFIG, "coefficient of the KL loss (low_var_kl)"),
    "rap.episodes": Number(30, _RAP_CONFIG, "passes over the rows"),
    "rap.clip_low": Number(0.2, _RAP_ACTOR, "how far a probability ratio may fall"),
    "rap.clip_high": Number(0.3, _RAP_ACTOR, "how far it may rise"),
    "rap.dapo_clip_low": Number(0.2, _DAPO, "the same in the DAPO variant"),
    "rap.dapo_clip_high": Number(0.28, _DAPO, "the same in the DAPO variant"),
    "rap.dapo_filter_low": Number(0.01, _EASYR1_CONFIG, "DAPO: groups of a mean below are left out"),
    "rap.dapo_filter_high": Number(0.99, _EASYR1_CONFIG, "DAPO: groups of a mean above are left out"),
    "rap.accuracy_reward": Number(RELEASED.accuracy, _RAP_REWARD, "of a right answer"),
    "rap.format_reward": Number(RELEASED.format, _RAP_REWARD, "of a reply that thinks in its tags and boxes an answer"),
    "rap.gpus": Number(8, f"{_RAP_RELEASE[:-1]}, examples/qwen2_5_vl_7b_mmeureka_grpo.sh)", "of one node"),
    "bis.alpha": Number(
        BALANCED.alpha, "paper, and default of the script of the release", "what reliability counts alone"
    ),
    "bis.readme_alpha": Number(
        BALANCED.readme_alpha, f"{_BIS_RELEASE[:-1]}, README)", "the same, in its command for 10 %"
    ),
    "bis.ratio": Number(0.25, _PAPER, "share of every source"),
    "bis.small_ratio": Number(0.1, _PAPER, "share at which it reaches the full data"),
    "bis.continuations": Number(16, "paper of the corpus (VisualPRM400K)", "N, samples from the end of every step"),
    "bis.threshold": Number(0, _PAPER, "a step is positive above this score"),
    "bis.batch": Number(512, _BIS_SCRIPT, "rollouts per update in training"),
    "bis.batch_of_a_gpu": Number(2, _BIS_SCRIPT, "rollouts at once on each GPU"),
    "bis.learning_rate": Number(1e-5, _BIS_SCRIPT, "AdamW, cosine"),
    "bis.weight_decay": Number(0.05, _BIS_SCRIPT, "of AdamW"),
    "bis.warmup": Number(0.05, _BIS_SCRIPT, "share of the steps"),
    "bis.epochs": Number(1, _BIS_SCRIPT, "passes over the rollouts"),
    "bis.attempts": Number(2, _OURS, "responses per question"),
    "bis.steps_by": Number(
        "hf_rap.process.steps:split_steps", _OURS, "what takes a response apart: at its own step marks"
    ),
    "bis.max_new_tokens": Number(2048, _OURS, "longest reply"),
    "difficulty.low": Number(DIFFICULTY_PRIOR.low, _PAPER, "smallest pass rate that is kept"),
    "difficulty.high": Number(DIFFICULTY_PRIOR.high, _PAPER, "largest pass rate that is kept"),
    "difficulty.stage_one": Number(DIFFICULTY_PRIOR.stage_one, "abstract", "rows of stage one, about"),
    "difficulty.stage_two": Number(DIFFICULTY_PRIOR.stage_two, "abstract", "rows of stage two, about"),
    "difficulty.attempts": Number(
        16, _OURS, "replies per row: the paper says many; five cannot tell a pass rate of 0.084 from 0"
    ),
    "difficulty.max_new_tokens": Number(2048, _OURS, "longest reply"),
}

# How the difficulty prior was trained stands in no abstract and in no release; these are those of RAP's.
_SAME = (
    *("group_size", "rollout_batch", "update_batch", "replies_at_once", "replies_read_at_once", "learning_rate"),
    *("weight_decay", "gradient_norm", "kl", "episodes", "clip_low", "clip_high", "dapo_clip_low", "dapo_clip_high"),
    *("dapo_filter_low", "dapo_filter_high", "format_reward", "temperature", "max_prompt_tokens", "min_pixels"),
    *("max_pixels", "gpus"),
)
NUMBERS |= {
    f"difficulty.{name}": NUMBERS[f"rap.{name}"]._replace(where="ours, as in the release of RAP") for name in _SAME
}


class Result(NamedTuple):
    """A row of a published table: model and what it was trained on, rows, hours of scoring and training, accuracies in percent."""

    model: str
    rows: int | None
    hours: float | None
    scores: tuple[float, ...]


class Table(NamedTuple):
    """A published table, where it stands, and its base models; the first row of each is that model untrained."""

    where: str
    benchmarks: tuple[str, ...]
    results: tuple[Result, ...]


# With GRPO. Read from a picture; the averages that stand there follow from these numbers.
RAP_TABLE = Table(
    f"{_RAP_RELEASE[:-1]}, fig/result1.png)",
    ("MathVista", "MMStar", "MathVerse", "WeMath", "MMVet", "LogicVista"),
    (
        Result("Qwen2.5-VL-7B", None, None, (68.70, 56.07, 39.31, 35.90, 59.13, 44.52)),
        Result("Qwen2.5-VL-7B, full", 54_931, 93.2, (70.70, 61.53, 48.43, 38.67, 60.51, 46.09)),
        Result("Qwen2.5-VL-7B, s1", 1_000, 55.9, (68.50, 61.80, 45.79, 35.05, 61.05, 45.86)),
        Result("Qwen2.5-VL-7B, LIMO", 4_093, 111.9, (69.90, 61.33, 45.74, 34.67, 59.08, 44.74)),
        Result("Qwen2.5-VL-7B, LIMR", 8_136, 122.0, (71.10, 62.12, 48.02, 41.21, 62.86, 45.81)),
        Result("Qwen2.5-VL-7B, RAP", 5_159, 52.8, (73.20, 62.53, 48.65, 42.00, 63.31, 46.53)),
        Result("Qwen2.5-VL-3B", None, None, (61.30, 54.46, 9.01, 21.62, 51.81, 39.59)),
        Result("Qwen2.5-VL-3B, full", 54_931, 46.5, (64.50, 55.25, 38.35, 28.29, 53.41, 40.03)),
        Result("Qwen2.5-VL-3B, s1", 1_000, 38.4, (62.60, 54.53, 37.41, 27.52, 53.02, 39.59)),
        Result("Qwen2.5-VL-3B, LIMO", 2_679, 120.5, (61.80, 54.73, 35.33, 24.48, 53.12, 39.14)),
        Result("Qwen2.5-VL-3B, LIMR", 21_303, 60.9, (63.10, 54.66, 35.43, 26.76, 53.25, 40.95)),
        Result("Qwen2.5-VL-3B, RAP", 4_374, 32.0, (64.90, 55.67, 39.34, 29.33, 54.63, 41.61)),
    ),
)
_UNREAD = "no published accuracy could be read: the abstract of arXiv {} has none by benchmark"
# Recipe -> its table, or why there is none.
TABLES: dict[str, Table | str] = {
    "rap": RAP_TABLE,
    "bis": _UNREAD.format("2602.04145"),
    "difficulty-prior": _UNREAD.format("2505.13261"),
}
NUMBERS |= {
    "rap.rows_7b": Number(5_159, RAP_TABLE.where, "rows that are selected for the 7B model, 9.39 % of 54,931"),
    "rap.rows_3b": Number(4_374, RAP_TABLE.where, "rows that are selected for the 3B model, 7.96 % of 54,931"),
    "rap.hours_saved_7b": Number(
        43.3, RAP_TABLE.where, "percent of the time, scoring included (7B: 52.8 of 93.2 hours)"
    ),
    "rap.hours_saved_3b": Number(
        31.2, RAP_TABLE.where, "percent of the time, scoring included (3B: 32.0 of 46.5 hours)"
    ),
    "bis.gain": Number(4.1, "abstract", "percent that 10 % by this score are above 10 % at random, relative"),
}

# Behind what a selection rests on, its BibTeX entry.
CITE_RAP = """@article{li2025truth,
  title={Truth in the Few: High-Value Data Selection for Efficient Multi-Modal Reasoning},
  author={Li, Shenshen and others},
  journal={arXiv preprint arXiv:2506.04755},
  year={2025}
}"""
CITE_OPERA = """@article{huang2023opera,
  title={OPERA: Alleviating Hallucination in Multi-Modal Large Language Models via Over-Trust Penalty and Retrospection-Allocation},
  author={Huang, Qidong and others},
  journal={arXiv preprint arXiv:2311.17911},
  year={2023}
}"""
CITE_DIFFICULTY_PRIOR = """@article{chen2025unlocking,
  title={Unlocking the Potential of Difficulty Prior in RL-based Multimodal Reasoning},
  author={Chen, Mingrui and others},
  journal={arXiv preprint arXiv:2505.13261},
  year={2025}
}"""
CITE_LIMR = """@article{li2025limr,
  title={LIMR: Less is More for RL Scaling},
  author={Li, Xuefeng and others},
  journal={arXiv preprint arXiv:2502.11886},
  year={2025}
}"""
CITE_S1 = """@article{muennighoff2025s1,
  title={s1: Simple test-time scaling},
  author={Muennighoff, Niklas and others},
  journal={arXiv preprint arXiv:2501.19393},
  year={2025}
}"""
CITE_BIS = """@article{li2026training,
  title={Training Data Efficiency in Multimodal Process Reward Models},
  author={Li, Jinyuan and Huang, Chengsong and Huang, Langlin and Xu, Shaoyang and Liu, Haolin and Zhang, Wenxuan and Huang, Jiaxin},
  journal={arXiv preprint arXiv:2602.04145},
  year={2026}
}"""
CITE_LEARNABILITY = """@article{bae2025online,
  title={Online Difficulty Filtering for Reasoning Oriented Reinforcement Learning},
  author={Bae, Sanghwan and Hong, Jiwoo and Lee, Min Young and Kim, Hanbyul and Nam, JeongYeon and Kwak, Donghyun},
  journal={arXiv preprint arXiv:2504.03380},
  year={2025}
}"""
CITE_VARIANCE_PROMOTION = """@article{leng2025mmr1,
  title={MMR1: Enhancing Multimodal Reasoning with Variance-Aware Sampling and Open Resources},
  author={Leng, Sicong and others},
  journal={arXiv preprint arXiv:2509.21268},
  year={2025}
}"""
CITE_DISCREPANCY = """@article{innovator2026,
  title={Innovator-VL: A Multimodal Large Language Model for Scientific Discovery},
  author={{Innovator-VL}},
  journal={arXiv preprint arXiv:2601.19325},
  year={2026}
}"""
CITE_VL_RETHINKER = """@article{wang2025vlrethinker,
  title={VL-Rethinker: Incentivizing Self-Reflection of Vision-Language Models with Reinforcement Learning},
  author={Wang, Haozhe and Qu, Chao and Huang, Zuming and Chu, Wei and Lin, Fangzhen and Chen, Wenhu},
  journal={arXiv preprint arXiv:2504.08837},
  year={2025}
}"""
CITE_HARDEST_TENTH = """@article{pikus2025hard,
  title={Hard Examples Are All You Need: Maximizing GRPO Post-Training Under Annotation Budgets},
  author={Pikus, Benjamin and Tiwari, Pratyush Ranjan and Ye, Burton},
  journal={arXiv preprint arXiv:2508.14094},
  year={2025}
}"""
CITE_VISUAL_GAIN = """@article{lee2026selective,
  title={Selective Training for Large Vision Language Models via Visual Information Gain},
  author={Lee, Seulbi and Hwang, Sangheum},
  journal={arXiv preprint arXiv:2602.17186},
  year={2026}
}"""
CITE_VISUAL_DEPENDENCE = """@article{huang2025spotlight,
  title={Spotlight on Token Perception for Multimodal Reinforcement Learning},
  author={Huang, Siyuan and Qu, Xiaoye and Li, Yafu and Luo, Yun and He, Zefeng and Liu, Daizong and Cheng, Yu},
  journal={arXiv preprint arXiv:2510.09285},
  year={2025}
}"""
