"""Private and unstable parts of other libraries are used in four files, and nowhere else in the package."""

import ast
import importlib.util
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hf_rap"
SEAMS = {PACKAGE / room / "compat.py" for room in ("engines", "rows", "hub", "verify")}

LIBRARIES = ("transformers", "torch", "datasets", "huggingface_hub")
# What their documentation speaks of below the top.
PUBLIC_MODULES = {"datasets.config", "datasets.exceptions", "huggingface_hub.constants", "huggingface_hub.errors"}
# Parts without an underscore that are documented nowhere, or were renamed: as attribute, argument, name or string.
UNSTABLE = {
    *("ALL_ATTENTION_FUNCTIONS", "eager_attention_forward", "get_interface", "softcap", "s_aux", "position_bias"),
    *("past_key_values", "cache_params", "rope_deltas", "DynamicLayer"),
    *("LazyBatch", "LazyRow", "keys_to_format", "pa_table", "DatasetInfosDict", "to_dataset_card_data"),
    *("embed_array_storage", "embed_table_storage", "generate_from_arrow_type"),
    *("upload_info", "validate_repo_id", "RepoFile", "RepoFolder", "HTTPError"),
}
ASKED_BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}


OF_NAMED_TUPLES = ("_replace", "_asdict", "_fields")  # public in spite of their names


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_NAMED_TUPLES


def is_module(dotted: str) -> bool:
    """`library.name` is a file or folder of the library, and not a name that its front page offers."""
    library, name = dotted.split(".")
    folders = importlib.util.find_spec(library).submodule_search_locations
    return any((Path(folder) / f"{name}.py").is_file() or (Path(folder) / name).is_dir() for folder in folders)


def is_deep(dotted: str) -> bool:
    """A module of one of the libraries, below its front page, that is not public; most of torch is public."""
    parts = dotted.split(".")
    if parts[0] not in LIBRARIES:
        return False
    if any(map(is_private, parts)):
        return True
    head = ".".join(parts[:2])
    return parts[0] != "torch" and len(parts) > 1 and head not in PUBLIC_MODULES and is_module(head)


def chain(node: ast.expr) -> str:
    """`a.b.c` of an expression that is nothing else, otherwise ""."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def names_in(node: ast.AST) -> list[str]:
    """The names that a node speaks of."""
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.keyword):
        return [node.arg or ""]
    if isinstance(node, ast.alias):
        return node.name.split(".")
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def reached_by(node: ast.AST) -> list[str]:
    """The private parts that a node reaches, as the code writes them."""
    found = [name for name in names_in(node) if name in UNSTABLE]
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if (is_private(node.attr) and owner not in ("self", "cls")) or is_deep(chain(node)):
            found.append(chain(node) or node.attr)
    elif isinstance(node, ast.Import):
        found += [alias.name for alias in node.names if is_deep(alias.name)]
    elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in LIBRARIES:
        paths = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [path for path in paths if is_deep(node.module) or is_deep(path)]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKED_BY_NAME:
        found += [name for each in node.args[1:2] for name in names_in(each) if is_private(name)]
    return found


def private_parts(code: str) -> list[str]:
    """The private parts of other libraries that this code reaches for; what it defines itself is its own."""
    nodes = list(ast.walk(ast.parse(code)))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return [part for node in nodes for part in reached_by(node) if part.rpartition(".")[2] not in own]


@pytest.mark.parametrize("path", sorted(set(PACKAGE.rglob("*.py")) - SEAMS), ids=lambda path: path.stem)
def test_private_parts_are_used_in_the_seams_alone(path):
    """What is needed of another library's inside becomes a function of a compat file, with a test that watches it."""
    assert private_parts(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted(SEAMS), ids=lambda path: path.parent.name)
def test_every_seam_is_needed(path):
    """A seam that reaches for nothing private any more can go."""
    assert private_parts(path.read_text(encoding="utf-8")) != []


@pytest.mark.parametrize("path", sorted(SEAMS), ids=lambda path: path.parent.name)
def test_every_part_of_a_seam_is_watched(path):
    """Each function of a seam stands in the test that says what a new release has moved."""
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    test = (Path(__file__).parents[1] / path.parent.name / "test_compat.py").read_text(encoding="utf-8")
    assert [name for name in functions if f"compat.{name}" not in test] == []


@pytest.mark.parametrize(
    "code",
    [
        "model.config._attn_implementation",
        "import torch\ntorch.cuda._is_in_bad_fork()",
        "getattr(config, '_commit_hash', None)",
        "setattr(config, '_attn_implementation_internal', 'x')",
        "from datasets.table import embed_table",
        "from datasets.formatting.formatting import Formatter",
        "import transformers.masking_utils",
        "from transformers.cache_utils import Cache",
        "from transformers import masking_utils",
        "from huggingface_hub.utils._headers import build_hf_headers",
        "from huggingface_hub.hf_api import CommitInfo",
        "import datasets\ndatasets.features.features.FeatureType",
        "model.generate(past_key_values=cache)",
        "'rope_deltas'",
        "batch.pa_table",
        "from huggingface_hub.errors import HTTPError",
    ],
)
def test_a_private_part_is_found(code):
    """The test above does see it, however it is reached."""
    assert private_parts(code) != []


@pytest.mark.parametrize(
    "code",
    [
        "self._x = cls._y",
        "thing.__class__.__name__",
        "from transformers import AutoConfig, DynamicCache",
        "import torch\ntorch.nn.functional.softmax(torch.zeros(1))",
        "import datasets\ndatasets.config.HF_DATASETS_CACHE\ndatasets.Dataset.from_dict({})",
        "from huggingface_hub import HfApi, constants",
        "from huggingface_hub.errors import HfHubHTTPError",
        "from .compat import stored_column",
        "getattr(model, 'generation_config')",
        "class Own:\n    def _equal(self): ...\n    def compare(self, other): return other._equal()",
    ],
)
def test_public_parts_are_fine(code):
    """What the libraries document, and what is private to ourselves."""
    assert private_parts(code) == []
