"""Select the rows of a multimodal dataset that make a model reason.

evidence = ds.map(Rollouts(TransformersEngine(model)), batched=True)
scored = evidence.map(cde_score, batched=True).map(difficulty_score, batched=True)
selection = select_cognitive(scored)
publish(selection, "user/my-dataset-rap", version="1.0.0")
"""

from .collect import collect_evidence, estimate
from .engines.base import Completion, Engine, Request, Sampling
from .engines.transformers_engine import TransformersEngine
from .errors import (
    BranchMovedError,
    ColumnExistsError,
    EngineError,
    HubError,
    LayoutError,
    MissingColumnError,
    PublishError,
    RapError,
    RowError,
    SettingError,
    SourceError,
    VersionExistsError,
    WithdrawnError,
)
from .folder import publish_to_folder
from .hub import Release, diff, load, publish, reselect, yank
from .inspection import inspect_dataset
from .layouts import Layout, recognise_layout
from .rollouts import Rollouts
from .scorers.base import Scorer, add_scores
from .scorers.cde import CDEScore, cde_score
from .scorers.difficulty import DifficultyScore, difficulty_score
from .select import Quantile, Selection, select_cognitive
from .sources import load_source
from .version import VERSION as __version__

__all__ = [
    "BranchMovedError",
    "CDEScore",
    "ColumnExistsError",
    "Completion",
    "DifficultyScore",
    "Engine",
    "EngineError",
    "HubError",
    "Layout",
    "LayoutError",
    "MissingColumnError",
    "PublishError",
    "Quantile",
    "RapError",
    "Release",
    "Request",
    "Rollouts",
    "RowError",
    "Sampling",
    "Scorer",
    "Selection",
    "SettingError",
    "SourceError",
    "TransformersEngine",
    "VersionExistsError",
    "WithdrawnError",
    "__version__",
    "add_scores",
    "cde_score",
    "collect_evidence",
    "diff",
    "difficulty_score",
    "estimate",
    "inspect_dataset",
    "load",
    "load_source",
    "publish",
    "publish_to_folder",
    "recognise_layout",
    "reselect",
    "select_cognitive",
    "yank",
]
