"""Where a dataset comes from: a Hub id, a local folder, or Parquet and JSON files.

SOURCE is `name:config@revision#split`, everything after the name optional:

    hiyouga/geometry3k                      a dataset on the Hub
    hiyouga/geometry3k@v1.0#validation      pinned, and one of its splits
    ./published:scored                      a folder, such as a version that hf_rap wrote
    data/*.jsonl                            files
"""

from __future__ import annotations

import glob
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hf_rap.errors import RapError, SourceError, first_line, one_line
from hf_rap.options import ForeignError, check, check_text, read_card_metadata

from .compat import hub_http_error
from .images import encoded_bytes
from .json_lines import faulty_line
from .layouts import as_tuple
from .media import HOW, checked_roots, is_own, note_origin, own_folders, short_name
from .notes import check_notes, check_saved
from .picture_columns import choose_images, holds_pictures

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    import datasets

_SOURCE = re.compile(
    r"(?P<path>.+?)(?::(?P<config>[^:@#/\\]+))?(?:@(?P<revision>[^:@#]+))?(?:#(?P<split>[^#]+))?", re.DOTALL
)
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_READERS = {"parquet": "parquet", "json": "json", "jsonl": "json", "ndjson": "json"}
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_SPLIT = re.compile(r"(?:^|[^a-z])(train|test|validation|val|dev)(?:[^a-z]|$)")
# How many values of a text column are looked at to see whether it holds paths of files.
_SAMPLED = 100


@dataclass(frozen=True)
class Source:
    """A parsed SOURCE; `str` gives the text back."""

    path: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        parts = ((":", self.config), ("@", self.revision), ("#", self.split))
        return self.path + "".join(mark + part for mark, part in parts if part is not None)

    @property
    def is_local(self) -> bool:
        """The path is on this machine or can be nowhere else. What exists here goes before the Hub."""
        return _exists(self.path) or not _HUB_ID.fullmatch(self.path) or reader_of(self.path) is not None


def parse_source(text: str) -> Source:
    """`name:config@revision#split` taken apart. A text that exists as a path, as a whole, is that path.

    Examples:
        >>> parse_source("user/geometry:selected@v1.2.0#train[:100]")
        Source(path='user/geometry', config='selected', revision='v1.2.0', split='train[:100]')

    """
    if _exists(text):
        return Source(text)
    match = _SOURCE.fullmatch(text.strip())
    if match is None:
        raise SourceError("The source is empty: give a Hub id, a folder, or Parquet or JSON files.")
    return Source(**match.groupdict())


def load_source(
    source: str | os.PathLike[str] | Source,
    *,
    config: str | None = None,
    revision: str | None = None,
    split: str | None = None,
    media_roots: Iterable[str | os.PathLike[str]] = (),
) -> datasets.Dataset:
    """The dataset at `source`; the options go before what the text of the source says.

    Without a split: `train`, or the only one there is. Columns of class labels hold their names. Paths of images in the
    rows of local files are relative to the folder of the file (or to the folder that was given), and a column of them
    comes out as one of images. What rows may name is in `hf_rap.rows.media`.

    Args:
        source: `name:config@revision#split`, see the top of this module.
        config: which of several configurations.
        revision: branch, tag or commit on the Hub.
        split: which split; `train[:100]` works on the Hub and in folders with data files.
        media_roots: folders, beside the dataset's own, whose files rows may name.

    Raises:
        SourceError: there is no such dataset, config, split or access, or it has no rows.

    """
    check(isinstance(source, (str, os.PathLike, Source)), "source", source, "a Hub id, a folder or files")
    for name, value in (("config", config), ("revision", revision), ("split", split)):
        check_text(name, value, none=True)
    more = checked_roots(media_roots)
    origin = asked_source(source if isinstance(source, Source) else os.fspath(source), config, revision, split)
    with as_source_error(origin):
        dataset = _load_local(origin) if origin.is_local else _load_by_name(origin.path, origin)
    if len(dataset) == 0:
        raise SourceError(f"{origin} has no rows.")
    dataset = _without_views(_with_class_names(dataset))
    if origin.is_local:
        note_origin(dataset, [*_folders_of(origin), *more])
    elif more:
        note_origin(dataset, [*own_folders(dataset), *more])
    return dataset


def _folders_of(source: Source) -> list[Path]:
    """The folder that was given, or those of the files."""
    path = Path(source.path).expanduser()
    return [path] if path.is_dir() else list(dict.fromkeys(file.parent for file in matching_files(source)))


def asked_source(source: str | Source, config: str | None, revision: str | None, split: str | None) -> Source:
    """The source with the options that go before what its text says."""
    parsed = source if isinstance(source, Source) else parse_source(source)
    return Source(parsed.path, config or parsed.config, revision or parsed.revision, split or parsed.split)


@contextmanager
def as_source_error(source: Source) -> Iterator[None]:
    """What goes wrong in datasets and on the way to the Hub, in one sentence."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        yield
    except (DatasetNotFoundError, RepositoryNotFoundError) as error:
        raise SourceError(
            f"{source}: {first_line(error)} If it is private or gated, ask for access on its page and run "
            "`hf auth login`. For local data give a path that exists."
        ) from error
    except StopIteration as error:  # datasets' answer to a file without a line
        raise SourceError(f"{source} has no rows.") from error
    except RapError:
        raise
    except (
        Exception
    ) as error:  # datasets checks little of what stands in a card or in state.json: any error may come of it
        raise SourceError(f"{source} cannot be read: {one_line(_cause_of(error))}") from error


def _cause_of(error: BaseException) -> BaseException:
    """What is behind datasets' "An error occurred while generating the dataset", which says nothing."""
    from datasets.exceptions import DatasetGenerationError

    while isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _load_by_name(name: str, source: Source) -> datasets.Dataset:
    """A Hub id, or a folder that `load_dataset` understands."""
    builder, split = builder_of(name, source)
    return _built(builder, split, source)


def builder_of(name: str, source: Source) -> tuple[datasets.DatasetBuilder, str]:
    """What builds a Hub id, or a folder that `load_dataset` understands, and the split that is meant."""
    import datasets

    _check_card(name, source)
    configs = datasets.get_dataset_config_names(name, revision=source.revision)
    config = source.config
    if config is None:
        config = configs[0] if len(configs) == 1 else _default_config(name, source)
    if config not in configs:
        problem = "has several configs" if config is None else f"has no config {config!r}"
        raise SourceError(f"{source} {problem}: choose one of {', '.join(configs)} ({source.path}:{configs[0]}).")
    builder = datasets.load_dataset_builder(name, config, revision=source.revision, cache_dir=_cache_of(source))
    _check_data_files(builder, name, source)  # first: split names are found by reading
    splits = datasets.get_dataset_split_names(name, config, revision=source.revision)
    return builder, _choose_split(source, splits)


def _check_card(name: str, source: Source) -> None:
    """The same before datasets looks at anything that the card names: it would ask servers for it."""
    for pattern in _patterns(_card_of(name, source)):
        place = os.path.normpath(os.path.join("/top", pattern))  # noqa: PTH118 - a pattern may be no path
        if "://" in pattern or "::" in pattern or not f"{place}/".startswith("/top/"):
            raise SourceError(
                f"{source}: its README.md takes data from outside of it ({short_name(pattern)}), which is not read. Give "
                "that as the source where it is yours."
            )


def _card_of(name: str, source: Source) -> Any:
    """The metadata of a card; nothing where there is none, or none that can be had now."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        if source.is_local:
            return read_card_metadata(Path(name) / "README.md")
        return read_card_metadata(hf_hub_download(name, "README.md", repo_type="dataset", revision=source.revision))
    except ForeignError as error:
        raise SourceError(f"{source}: its README.md is not read, for what stands above it {error}.") from error
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, hub_http_error(), OSError):
        return None  # datasets says what is wrong, in its own words


def _patterns(card: Any) -> Iterator[str]:
    """All that a card says of where its data lies."""
    configs = card.get("configs") if isinstance(card, dict) else None
    for config in configs if isinstance(configs, list) else ():
        if not isinstance(config, dict):
            continue
        yield from _texts([config.get("data_dir")])
        files = config.get("data_files")
        for part in files if isinstance(files, list) else [files]:
            yield from _texts(part.get("path") if isinstance(part, dict) and "path" in part else _values(part))


def _values(files: Any) -> list[Any]:
    return list(files.values()) if isinstance(files, dict) else [files]


def _check_data_files(builder: datasets.DatasetBuilder, name: str, source: Source) -> None:
    """Raise `SourceError` where a card says that data lies elsewhere: in another folder, repository or at a URL."""
    top = f"hf://datasets/{name}@"
    given = getattr(builder.config, "data_files", None) or {}
    for files in given.values():
        for file in map(str, files):
            is_path = source.is_local and "://" not in file
            if not (is_own(file, name) if is_path else file.startswith(top)):
                raise SourceError(
                    f"{source}: its README.md takes data from outside of it ({short_name(file)}), which is not read. Give that "
                    "as the source where it is yours."
                )
            _check_file(file, name, source)


def _check_file(file: str, name: str, source: Source) -> None:
    """Raise `SourceError` for what would be waited for, or end the process."""
    if source.is_local and "://" not in file and not Path(file).is_file():
        raise SourceError(f"{source}: {short_name(file)} is no regular file.")
    if reader_of(file.rpartition("/")[2]) != "json":
        return
    path = _on_this_machine(file, name) if file.startswith("hf://") else file
    fault = None if path is None else faulty_line(path)
    if fault is not None:
        raise SourceError(f"{source}: {short_name(file)} is not read, since its {fault}.")


def _on_this_machine(file: str, name: str) -> str | None:
    """Where the Hub client keeps a file of a dataset, which datasets takes from there; None where there is none to be had."""
    from huggingface_hub import hf_hub_download

    revision, _, inside = file.removeprefix(f"hf://datasets/{name}@").partition("/")
    try:
        return hf_hub_download(name, inside, repo_type="dataset", revision=unquote(revision))
    except (hub_http_error(), OSError, ValueError):
        return None  # datasets says what is wrong, in its own words


def _cache_of(source: Source) -> str | None:
    """A place of its own for each state of a local folder; None is the usual one.

    datasets (5.2.0) knows the rows of a folder with a card by the folder's name and config alone:
    another folder of the same name, or the same one written anew, would give yesterday's rows.
    """
    import datasets

    if not source.is_local:
        return None
    folder = Path(source.path).expanduser().absolute()
    state = [(file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files_in(folder)]
    digest = blake2b(repr((folder.as_posix(), state)).encode(), digest_size=16).hexdigest()
    return str(Path(datasets.config.HF_DATASETS_CACHE) / "hf-rap-folders" / digest)


def _built(builder: datasets.DatasetBuilder, split: str, source: Source) -> datasets.Dataset:
    """What `load_dataset` does, except that it has no clear word for a split without rows."""
    builder.download_and_prepare()
    if not any(builder.info.splits[name].num_examples for name in _split_names(split)):
        raise SourceError(f"{source} has no rows.")
    return builder.as_dataset(split=split)


def _split_names(split: str) -> list[str]:
    """The splits in `train[:10]+test`."""
    return [part.partition("[")[0].strip() for part in split.split("+")]


def _default_config(name: str, source: Source) -> str | None:
    import datasets

    default: str | None = datasets.get_dataset_default_config_name(name, revision=source.revision)
    return default


def _choose_split(source: Source, splits: Iterable[str]) -> str:
    names = list(splits)
    if source.split is not None:
        if not set(_split_names(source.split)) <= set(names):
            raise SourceError(f"{source} has no split {source.split!r}: choose one of {', '.join(names)}.")
        return source.split
    if "train" in names or len(names) == 1:
        return "train" if "train" in names else names[0]
    raise SourceError(
        f"{source} has several splits and none is called train: choose one of {', '.join(names)} ({source}#{names[0]})."
    )


def _load_local(source: Source) -> datasets.Dataset:
    path = Path(source.path).expanduser()
    if source.revision is not None:
        raise SourceError(f"{source}: a local path has no revisions; leave out @{source.revision}.")
    if path.is_dir():
        check_notes(path)
        if is_saved(path):
            check_saved(path)
            return _load_saved(path, source)
        if tables := _tables_beside_pictures(path):
            return _load_tables(tables, path, source)
        dataset = _load_by_name(str(path), source)
        return with_absolute_paths(dataset, _folders_of_paths(path))
    if source.config is not None:
        raise SourceError(f"{source}: files have no configs; leave out :{source.config}.")
    return _load_files(matching_files(source), source)


def _tables_beside_pictures(folder: Path) -> dict[str, list[Path]]:
    """The data files, by split, of a folder that datasets would take for one of pictures alone; nothing for any other.

    MM-Eureka has its pictures beside `dataset.jsonl`; what datasets knows as a folder of images has a `metadata` file.
    """
    files = files_in(folder)
    tables = [file for file in files if reader_of(file.name)]
    lines = [file for file in tables if ".json" not in {suffix.lower() for suffix in file.suffixes}]
    has_pictures = any(file.name.lower().endswith(_IMAGE_ENDINGS) for file in files)
    if not has_pictures or not tables or any(file.stem == "metadata" for file in files) or _has_configs(folder):
        return {}
    by_split: dict[str, list[Path]] = {}
    for file in lines or tables:
        match = _SPLIT.search(file.stem.lower())
        by_split.setdefault(match[1] if match else "train", []).append(file)
    return by_split


def _has_configs(folder: Path) -> bool:
    """The card says which files are data."""
    try:
        return "\nconfigs:" in (folder / "README.md").read_text(errors="replace")
    except OSError:
        return False


def _load_tables(by_split: dict[str, list[Path]], folder: Path, source: Source) -> datasets.Dataset:
    if source.config is not None:
        raise SourceError(f"{source}: files beside pictures have no configs; leave out :{source.config}.")
    split = _choose_split(source, by_split)
    if split not in by_split:
        raise SourceError(f"{source}: slices of splits do not work on files beside pictures; give the split's name.")
    _check_own(by_split[split], folder, source)
    return _load_files(by_split[split], Source(source.path), folder)


def _check_own(files: Iterable[Path], folder: Path, source: Source) -> None:
    """Raise `SourceError` for a link in a folder that leads out of it."""
    for file in files:
        if not is_own(str(file), str(folder)):
            raise SourceError(
                f"{source}: {short_name(file.name)} in it leads outside of it, which is not read. Give that file as the source, or "
                f"its folder as {HOW}, where it is yours."
            )


def is_saved(folder: Path) -> bool:
    """`save_to_disk` wrote this folder."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _load_saved(path: Path, source: Source) -> datasets.Dataset:
    """A folder that `save_to_disk` wrote."""
    import datasets

    loaded = datasets.load_from_disk(str(path))
    if source.config is not None:
        raise SourceError(f"{source}: a save_to_disk folder has no configs; leave out :{source.config}.")
    if isinstance(loaded, datasets.DatasetDict):
        split = _choose_split(source, loaded)
        if split not in loaded:
            raise SourceError(
                f"{source}: slices of splits do not work on a save_to_disk folder; give the split's name."
            )
        return loaded[split]
    if source.split not in (None, str(loaded.split)):
        raise SourceError(f"{source}: this folder holds one dataset without splits; leave out #{source.split}.")
    return loaded


def matching_files(source: Source) -> list[Path]:
    """The data files that a path or pattern stands for, sorted."""
    path = str(Path(source.path).expanduser())
    names = [path] if _exists(path) else glob.glob(path, recursive=True)  # noqa: PTH207 - patterns may be absolute
    files = sorted(Path(name) for name in names if Path(name).is_file())
    if not files:
        raise SourceError(f"{source} was not found: there is no such file or folder, and it cannot be a Hub id.")
    for file in files:
        if reader_of(file.name) is None:
            raise SourceError(f"{source}: {file.name} is none of the formats that are read: {', '.join(_READERS)}.")
    return files


def _load_files(files: list[Path], source: Source, top: Path | None = None) -> datasets.Dataset:
    """All rows of the files; folder by folder, since paths in them start at their own folder, or at the top."""
    import datasets

    if source.split not in (None, "train"):
        raise SourceError(f"{source}: files have no splits; leave out #{source.split}.")
    if len({reader_of(file.name) for file in files}) > 1:
        raise SourceError(f"{source} matches both Parquet and JSON files: give a pattern for one of the two.")
    for file in files:
        _check_file(str(file), "", source)
    parts = []
    for folder in sorted({file.parent for file in files}):
        # datasets takes file names for patterns
        names = [glob.escape(str(file)) for file in files if file.parent == folder]
        builder = datasets.load_dataset_builder(reader_of(files[0].name), data_files=names)
        parts.append(with_absolute_paths(_built(builder, "train", source), [*([top] if top else []), folder]))
    return parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)


def reader_of(name: str) -> str | None:
    """The loader of datasets for this file; None when it is none of ours."""
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return _READERS.get(name.rpartition(".")[2].lower()) if "." in name else None


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111 - Path raises on texts that are no path


def _folders_of_paths(folder: Path) -> list[Path]:
    """Where relative paths in the files of a folder may start: there, or where all its data files are."""
    inside = {file.parent for file in files_in(folder) if reader_of(file.name)}
    return [folder, *(inside if len(inside) == 1 else ())]


def with_absolute_paths(dataset: datasets.Dataset, folders: list[Path]) -> datasets.Dataset:
    """Columns that name image files, as columns of images; a relative name starts at one of the folders."""
    from datasets import Image, List

    columns = [name for name, feature in dataset.features.items() if _may_hold_paths(name, feature)]
    sample = dataset.select_columns(columns)[:_SAMPLED] if columns else {}
    folder_of = {
        name: str(folder.absolute())
        for folder in reversed(folders)
        for name, values in sample.items()
        if any(_is_image_in(folder, text) for text in _texts(values))
    }
    _refuse_packed(sample, folder_of, folders)
    chosen = as_tuple(choose_images(dataset.features))
    if any(name in chosen for name in folder_of) or any(holds_pictures(dataset.features, name) for name in chosen):
        folder_of = {name: folder for name, folder in folder_of.items() if name in chosen}  # others are only names
    if not folder_of:
        return dataset
    is_single = {name: getattr(dataset.features[name], "dtype", None) is not None for name in folder_of}
    image = Image(decode=False)  # decoded, a URL in another row would be fetched
    made = {name: image if is_single[name] else List(image) for name in folder_of}
    features = type(dataset.features)({**dataset.features, **made})
    return dataset.map(partial(_as_images, folders=folder_of), batched=True, features=features)


def _refuse_packed(sample: Mapping[str, Any], there: Container[str], folders: list[Path]) -> None:
    """Raise `SourceError` where pictures are named that are not there, and an archive is."""
    archives = sorted(
        {file for folder in folders for file in folder.glob("*") if file.name.lower().endswith(_ARCHIVES)}
    )
    for name, values in sample.items():
        missing = next((text for text in _texts(values) if text.lower().endswith(_IMAGE_ENDINGS)), None)
        is_named = missing is not None and "://" not in missing and not os.path.isabs(missing)  # noqa: PTH117 - Path raises on texts that are no path
        if archives and name not in there and is_named:
            packed = ", ".join(file.name for file in archives)
            raise SourceError(
                f"Column {name!r} names pictures such as {missing!r}, which are not in {folders[0].name or folders[0]}, but "
                f"{packed} is: unpack it there (unzip, tar -xf)."
            )


def _with_class_names(dataset: datasets.Dataset) -> datasets.Dataset:
    """Columns of class labels as the names of the classes: their numbers are no answers to anything."""
    import datasets
    import pyarrow as pa

    order = dataset.column_names
    labels = [(name, feature) for name, feature in dataset.features.items() if type(feature).__name__ == "ClassLabel"]
    if len(labels) == len(order):
        return dataset  # a dataset without columns has no rows
    for name, feature in labels:
        (numbers,) = dataset.select_columns([name]).with_format("arrow")[:].columns
        names = [None if number is None or number < 0 else feature.names[number] for number in numbers.to_pylist()]
        column = pa.array(names, pa.string())
        dataset = dataset.remove_columns(name).add_column(name, column, feature=datasets.Value("string"))
    return dataset.select_columns(order) if labels else dataset


def _without_views(dataset: datasets.Dataset) -> datasets.Dataset:
    """Texts and bytes in the usual layout of Arrow, which can take rows out of no other (pyarrow 26.0.1)."""
    import datasets

    usual = {"string_view": "large_string", "binary_view": "large_binary"}

    def of(described: Any) -> Any:
        if isinstance(described, list):
            return [of(part) for part in described]
        if isinstance(described, dict):
            return {name: of(part) for name, part in described.items()}
        return usual.get(described, described) if isinstance(described, str) else described

    if "_view'" not in str(dataset.features):
        return dataset
    return dataset.cast(datasets.Features.from_dict(of(dataset.features.to_dict())))


def _may_hold_paths(name: str, feature: Any) -> bool:
    """Text or lists of it, but no ids: they may be named like the file, and must not depend on where it is."""
    inner = getattr(feature, "feature", feature)
    is_text = getattr(inner, "dtype", None) in ("string", "large_string") or type(inner).__name__ == "Json"
    return is_text and not name.lower().endswith("id")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_image_in(folder: Path, text: str) -> bool:
    if not text.lower().endswith(_IMAGE_ENDINGS) or "://" in text:
        return False
    return os.path.isabs(text) or os.path.isfile(folder / text)  # noqa: PTH113, PTH117 - Path raises on texts that are no path


def _as_images(batch: Mapping[str, list[Any]], folders: dict[str, str]) -> dict[str, list[Any]]:
    """The columns of `folders` as images, names put below the folder; what is absolute, a URL or base64 stays."""

    def image(value: Any, folder: str) -> Any:
        if isinstance(value, list):
            return [image(item, folder) for item in value]
        if not isinstance(value, str) or not value:
            return None
        if value.lower().endswith(_IMAGE_ENDINGS) and "://" not in value:
            value = os.path.join(folder, value)  # noqa: PTH118 - keeps an absolute value as it is written
        elif (content := encoded_bytes(value)) is not None:  # base64, or a data: URL
            return {"bytes": content, "path": None}
        return {"bytes": None, "path": value}

    made: dict[str, list[Any]] = {}
    for name, folder in folders.items():
        cells = [image(value, folder) for value in batch[name]]
        is_mixed = any(isinstance(cell, list) for cell in cells)
        made[name] = [[cell] if is_mixed and isinstance(cell, dict) else cell for cell in cells]
    return made


def files_in(folder: Path) -> list[Path]:
    """All files below, without hidden ones and links that lead out, in the order of their names."""
    paths = (
        path
        for path in folder.rglob("*")
        if path.is_file() and (not path.is_symlink() or is_own(str(path), str(folder)))
    )
    visible = (path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(visible, key=lambda path: path.relative_to(folder).as_posix())
