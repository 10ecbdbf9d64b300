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


PAPER = Paper()
RELEASED = Released()
DIFFICULTY_PRIOR = DifficultyPrior()
LIMR = Limr()
BALANCED = BalancedInformation()

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
CITE_BIS = """@article{li2026training,
  title={Training Data Efficiency in Multimodal Process Reward Models},
  author={Li, Jinyuan and Huang, Chengsong and Huang, Langlin and Xu, Shaoyang and Liu, Haolin and Zhang, Wenxuan and Huang, Jiaxin},
  journal={arXiv preprint arXiv:2602.04145},
  year={2026}
}"""
