"""What runs inside a trainer."""

from .rewards import accuracy_reward

__all__ = ["accuracy_reward"]
