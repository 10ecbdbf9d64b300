"""What runs inside or just before a trainer; no trainer is imported here."""

from __future__ import annotations

from .epochs import EpochReport, add_epoch_rewards
from .hints import AddDifficultyHint, RemoveDifficultyHint, add_difficulty_hint, remove_difficulty_hint
from .order import order_curriculum
from .reward_log import RewardLog
from .rewards import accuracy_reward, format_reward
from .weighting import WEIGHTS, DifficultyWeighted, difficulty_weighted, weigh_groups

__all__ = [
    "WEIGHTS",
    "AddDifficultyHint",
    "DifficultyWeighted",
    "EpochReport",
    "RemoveDifficultyHint",
    "RewardLog",
    "accuracy_reward",
    "add_difficulty_hint",
    "add_epoch_rewards",
    "difficulty_weighted",
    "format_reward",
    "order_curriculum",
    "remove_difficulty_hint",
    "weigh_groups",
]
