"""Select the rows of a multimodal dataset that make a model reason.

evidence = ds.map(Rollouts(TransformersEngine(model)), batched=True)
scored = evidence.map(cde_score, batched=True).map(difficulty_score, batched=True)
selection = select_cognitive(scored)
publish_to_folder(selection, "my-dataset-rap", version="1.0.0")
"""

from .collect import collect_evidence, estimate
from .engines.base import Completion, Engine, Request, Sampling
from .engines.endpoint import EndpointEngine
from .engines.transformers_engine import TransformersEngine
from .errors import (
    ColumnExistsError,
    EngineError,
    LayoutError,
    MissingColumnError,
    PublishError,
    RapError,
    RowError,
    RunError,
    SettingError,
    SourceError,
)
from .inspection import inspect_dataset
from .layouts import Layout, recognise_layout
from .publish import publish_to_folder
from .rollouts import Rollouts
from .runs.fill import Run, collect_in_run
from .runs.listing import list_runs
from .scorers.base import Scorer, add_scores
from .scorers.cde import CDEScore, cde_score
from .scorers.difficulty import DifficultyScore, difficulty_score
from .select import Quantile, Selection, select_cognitive
from .sources import load_source
from .version import VERSION as __version__

__all__ = [
    "CDEScore",
    "ColumnExistsError",
    "Completion",
    "DifficultyScore",
    "EndpointEngine",
    "Engine",
    "EngineError",
    "Layout",
    "LayoutError",
    "MissingColumnError",
    "PublishError",
    "Quantile",
    "RapError",
    "Request",
    "Rollouts",
    "RowError",
    "Run",
    "RunError",
    "Sampling",
    "Scorer",
    "Selection",
    "SettingError",
    "SourceError",
    "TransformersEngine",
    "__version__",
    "add_scores",
    "cde_score",
    "collect_evidence",
    "collect_in_run",
    "difficulty_score",
    "estimate",
    "inspect_dataset",
    "list_runs",
    "load_source",
    "publish_to_folder",
    "recognise_layout",
    "select_cognitive",
]
