"""A new card in a README that is there: the generated part and our metadata, and not a byte of what others wrote.

Metadata is edited as text, at the places that its parser names. Read and written anew, `language: no` would become
`language: false`, `1.10` would lose its zero, and comments would be gone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_rap.errors import PublishError
from hf_rap.options import ForeignError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BEGIN, END = "<!-- hf-rap: begin -->", "<!-- hf-rap: end -->"
# Lists to which both sides add.
_JOINED = ("tags", "task_categories", "source_datasets")
# Lists of mappings where each config has an entry of its own.
_PER_CONFIG = ("configs", "dataset_info")
# What follows from another field, and so is written only where that one is ours.
_FOLLOWS = {"license_name": "license", "license_link": "license"}
_HEAD = re.compile(r"(---\r?\n)(.*?)(^---(?:\r?\n|\Z))", re.DOTALL | re.MULTILINE)


def merge_readme(existing: str | None, card: str, before: Mapping[str, Any] | None = None) -> str:
    """`card` in the place of the generated part of `existing`.

    The generated part stands between two HTML comments, which no page shows; a README that has none is the user's as
    a whole and stays above. Metadata: lists such as `tags` are joined, every config keeps its entry, and a field
    that is there with another value than the one before of hf-rap stays as its author wrote it.

    Args:
        existing: the README that is there; None for none.
        card: the new card, from `render_card`.
        before: the metadata that hf-rap wrote into `existing`, see `metadata_of`; None where it wrote none, and
            everything is the user's.

    Raises:
        PublishError: `existing` cannot be read, or not be added to without a change of what others wrote.

    """
    new, card_body = metadata_of(card), _HEAD.sub("", card, count=1)
    text = existing or ""
    start = 1 if text.startswith("\ufeff") else 0  # a mark that some editors write in front
    newline = "\r\n" if "\r\n" in text else "\n"
    generated = f"{BEGIN}\n\n{card_body.strip()}\n\n{END}".replace("\n", newline)
    head = _HEAD.match(text, start)
    if head is None:
        _check_no_head(text[start:])
        metadata = _dumped(_fresh(new)).replace("\n", newline)
        above, below = f"{text[:start]}---{newline}{metadata}---{newline}{newline}", start
    else:
        edited = _Head(head[2], newline).merged(new, before or {})
        above, below = f"{text[: head.start(2)]}{edited}{text[head.end(2) : head.end()]}", head.end()
    return above + _with_body(text, below, generated, newline, is_ours=before is not None)


def check_readme(existing: str, configs: Iterable[str], before: Mapping[str, Any] | None) -> None:
    """Refuses a README to which `merge_readme` could add no card; worth a call before hours of work.

    Raises:
        PublishError: as `merge_readme`.

    """
    entries = [{"config_name": config} for config in configs]
    values = {**{name: ["hf-rap"] for name in _JOINED}, **dict.fromkeys(_PER_CONFIG, entries)}
    merge_readme(existing, f"---\n{_dumped(values)}---\n\n# Card\n", before)


def metadata_of(text: str) -> dict[str, Any]:
    """The metadata above a README that can be read; empty for any other."""
    head = _HEAD.match(text.removeprefix("\ufeff"))
    try:
        read = read_yaml(head[2]) if head else None
    except ForeignError:
        return {}
    return read if isinstance(read, dict) else {}


def default_config(configs: Any) -> str | None:
    """The config that `load_dataset` takes without a name, as `datasets` decides it; None for none."""
    named = [entry for entry in _as_list(configs) if isinstance(entry, dict) and "config_name" in entry]
    return next(
        (
            str(entry["config_name"])
            for entry in named
            if len(named) == 1 or entry["config_name"] == "default" or entry.get("default")
        ),
        None,
    )


def _check_no_head(text: str) -> None:
    """Refuses what looks like metadata, but is none to the Hub."""
    if text.startswith("---"):
        raise PublishError("README.md, line 1: metadata begins there, and no line `---` ends it. Add one.")
    if text.lstrip().startswith("---"):
        line = text[: text.index("---")].count("\n") + 1
        raise PublishError(
            f"README.md, line {line}: `---` begins metadata only in the first line. Remove the empty lines above it."
        )


def _with_body(text: str, below: int, generated: str, newline: str, *, is_ours: bool) -> str:
    """The text below the metadata, which ends at `below`, with the generated part in it."""
    body = text[below:]

    def line(place: int) -> int:
        return text[: below + place].count("\n") + 1

    begins, ends = ([match.start() for match in re.finditer(re.escape(mark), body)] for mark in (BEGIN, END))
    if not begins and not ends:
        gap = "" if not body.strip() else newline * (2 - min(2, body[len(body.rstrip()) :].count("\n")))
        return f"{body}{gap}{generated}{newline}"
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        place = line(min(begins + ends))
        raise PublishError(
            f"README.md, line {place}: what hf-rap writes stands between one `{BEGIN}` and one `{END}`, and there are "
            f"{len(begins)} and {len(ends)}, or in another order. Add the missing one, or remove both."
        )
    if not is_ours:
        raise PublishError(
            f"README.md, line {line(begins[0])}: there are marks of hf-rap, but no rap.json that says what hf-rap has "
            "written. Remove the two marks, and what is between them if it is not yours."
        )
    return body[: begins[0]] + generated + body[ends[0] + len(END) :]


def _fresh(new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in new.items() if value not in (None, [])}


class _Head:
    """The metadata of a README, edited at the places of its fields."""

    def __init__(self, text: str, newline: str) -> None:
        import yaml  # type: ignore[import-untyped]

        self.text, self.newline = text, newline
        self.edits: list[tuple[int, int, str]] = []
        try:
            values = read_yaml(text)
            # What is no mapping is refused below, and need not be composed once more for its places.
            root = yaml.compose(text, yaml.SafeLoader) if isinstance(values, dict) or not values else values
        except (yaml.YAMLError, RecursionError, ForeignError) as error:
            cause = error.__cause__ or error
            mark = getattr(cause, "problem_mark", None)
            line = f", line {mark.line + 2}" if mark else ""
            problem = getattr(cause, "problem", None) or "it is no YAML of a usual size"
            raise PublishError(f"README.md{line}: its metadata cannot be read ({problem}). Mend it first.") from error
        if root is not None and (not isinstance(root, yaml.MappingNode) or root.flow_style):
            raise PublishError("README.md, line 2: its metadata is no list of `name: value` lines. Write it that way.")
        self.values: dict[Any, Any] = values or {}
        self.indent = root.start_mark.column if root else 0
        self.nodes: dict[str, tuple[Any, Any]] = {}
        for key, value in root.value if root else ():
            if key.value in self.nodes:
                raise PublishError(f"README.md, line {self._line(key)}: {key.value!r} is there twice. Keep one.")
            self.nodes[key.value] = key, value

    def merged(self, new: Mapping[str, Any], before: Mapping[str, Any]) -> str:
        """The text with `new` in it, where `before` is what hf-rap had written."""
        expected = dict(self.values)
        for name in dict.fromkeys([*new, *before]):
            value = self._merged_field(name, new.get(name), before)
            if value in (None, []):
                expected.pop(name, None)
            else:
                expected[name] = value
        text = self._edited()
        further = {name: value for name, value in expected.items() if name not in self.values}
        if further:
            text += "" if not text or text.endswith("\n") else self.newline
            text += self._lines(_dumped(further), self.indent)
        self._check(text, expected)
        return text

    def _merged_field(self, name: str, value: Any, before: Mapping[str, Any]) -> Any:
        """What the field is to be; where it is there and to be changed, edits its text."""
        if name in _JOINED:
            return self._join(name, _as_list(value), _as_list(before.get(name)))
        if name in _PER_CONFIG:
            return self._per_config(name, _as_list(value), _as_list(before.get(name)))
        if self._is_theirs(_FOLLOWS.get(name, name), before) or self._is_theirs(name, before):
            return self.values.get(name)
        if name in self.nodes and self.values[name] != value:
            self._replace_field(name, value)
        return value

    def _check(self, text: str, expected: Mapping[Any, Any]) -> None:
        """Reads what was written: where it says anything else than it should, the text is one that edits do not suit."""
        import yaml

        try:
            written = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError):
            written = None
        if written == expected:
            return
        wrong = [
            f"{name!r} in line {self._line(key)}"
            for name, (key, _) in self.nodes.items()
            if name in expected and (not isinstance(written, dict) or written.get(name) != expected[name])
        ]
        raise PublishError(
            f"README.md: its metadata cannot be added to as it is written ({', '.join(wrong[:3])}). "
            "Write lists as lines that begin with `- `, without anchors."
        )

    def _is_theirs(self, name: str, before: Mapping[str, Any]) -> bool:
        return name in self.nodes and (name not in before or self.values.get(name) != before[name])

    def _join(self, name: str, new: list[Any], before: list[Any]) -> Any:
        """What is missing in front, and what hf-rap has written and does not write any more taken out."""
        if name not in self.nodes:
            return new
        theirs = self.values[name]
        there = _as_list(theirs)
        # What hf-rap had written and the user has taken out does not come back.
        missing = [item for item in new if item not in there and item not in before]
        stale = [item for item in there if item in before and item not in new]
        if not missing and not stale:
            return theirs
        _, node = self.nodes[name]
        if stale or theirs is None:
            self._replace_field(name, [*missing, *(item for item in there if item not in stale)])
        elif isinstance(theirs, list):
            self._insert(name, missing)
        else:
            flow = ", ".join(_flow(item) for item in missing)
            self.edits += [(node.start_mark.index,) * 2 + (f"[{flow}, ",), (node.end_mark.index,) * 2 + ("]",)]
        return [*missing, *(item for item in there if item not in stale)]

    def _per_config(self, name: str, new: list[dict[str, Any]], before: list[dict[str, Any]]) -> Any:
        """Our entries in front of those of others, which stay."""
        names = {entry["config_name"] for entry in before}
        theirs = self.values.get(name)
        if name == "configs":
            new = self._defaults(new, names)
        if theirs is None:
            if name in self.nodes:
                self._replace_field(name, new)
            return new
        key, node = self.nodes[name]
        if isinstance(theirs, dict) and name == "dataset_info":
            # One config alone has no list, and may have no name; `push_to_hub` reads a list only with names.
            if theirs.get("config_name") in names:
                self._replace_field(name, new)
                return new
            self._check_free(name, [theirs], new, [node])
            return self._as_first_entry(key, node, theirs, new)
        if not isinstance(theirs, list) or any(not isinstance(entry, dict) for entry in theirs):
            raise PublishError(
                f"README.md, line {self._line(key)}: {name!r} is no list of configs. Write each as an entry with "
                "`config_name`."
            )
        return self._with_entries(name, theirs, new, names)

    def _with_entries(self, name: str, theirs: list[Any], new: list[dict[str, Any]], names: set[str]) -> list[Any]:
        """The list of all configs, with our new entries for those that we had."""
        _, node = self.nodes[name]
        pairs = list(zip(theirs, node.value, strict=True))
        staying = [(entry, place) for entry, place in pairs if entry.get("config_name") not in names]
        stays, places = [entry for entry, _ in staying], [place for _, place in staying]
        self._check_free(name, stays, new, places)
        if name == "configs":
            self._check_default(theirs, [*new, *stays], dict(zip(map(_name_of, stays), places, strict=True)))
        if not stays:
            self._replace_field(name, new)
            return new
        for entry, place in pairs:
            if entry.get("config_name") in names:
                self._remove_entry(name, node, place)
        if new:
            self._insert(name, new)
        return [*new, *stays]

    def _defaults(self, new: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
        """Ours are the default only where nobody else has a config, or where they were and are still the only one."""
        there = [entry for entry in _as_list(self.values.get("configs")) if isinstance(entry, dict)]
        others = [entry for entry in there if entry.get("config_name") not in names]
        was_default = any(entry.get("default") for entry in there if entry not in others)
        if not others or (was_default and default_config([*others, {"config_name": ""}]) is None):
            return new
        return [{key: value for key, value in entry.items() if key != "default"} for entry in new]

    def _check_free(self, name: str, stays: list[dict[str, Any]], new: list[dict[str, Any]], nodes: list[Any]) -> None:
        """Refuses names that others use."""
        ours = {entry["config_name"] for entry in new}
        for entry, node in zip(stays, nodes, strict=True):
            if entry.get("config_name") in ours:
                raise PublishError(
                    f"README.md, line {self._line(node)}: {name!r} has a config {entry['config_name']!r} that hf-rap has "
                    "not made. Rename it, or publish to another repository."
                )

    def _check_default(self, there: list[Any], merged: list[Any], nodes: dict[str, Any]) -> None:
        """Refuses to take from the config of somebody else that `load_dataset` takes it without a name."""
        default = default_config(there)
        if default in nodes and default_config(merged) != default:
            raise PublishError(
                f"README.md, line {self._line(nodes[default])}: load_dataset takes the config {default!r} because it is "
                "the only one, which it will not be any more. Add `default: true` to it, so that it stays the default."
            )

    def _as_first_entry(self, key: Any, node: Any, theirs: dict[str, Any], new: list[dict[str, Any]]) -> Any:
        """A mapping becomes an entry of a list, with the name that it has always had to `datasets`."""
        named = theirs if "config_name" in theirs else {"config_name": "default", **theirs}
        name = "" if named is theirs else "config_name: default"
        ours = self._lines(_dumped(new), self.indent)
        start = node.start_mark.index
        if node.flow_style:
            comma = f"{name}, " if name and theirs else name
            self.edits.append(
                (key.end_mark.index + 1, start + 1, f"{self.newline}{ours}{' ' * self.indent}- {{{comma}")
            )
            return [*new, named]
        line_start = self.text.rfind("\n", 0, start) + 1
        first = f"{' ' * self.indent}- {name}{self.newline}" if name else ""
        column = node.start_mark.column
        if column < self.indent + 2:
            raise PublishError(
                f"README.md, line {self._line(node)}: the lines of 'dataset_info' are indented by {column}. "
                "Indent them by 2, so that they can become an entry of a list."
            )
        if name:
            first = f"{' ' * self.indent}- {' ' * (column - self.indent - 2)}{name}{self.newline}"
            self.edits.append((line_start, line_start, ours + first))
        else:
            dash = f"{' ' * self.indent}- {' ' * (column - self.indent - 2)}"
            self.edits.append((line_start, start, ours + dash))
        return [*new, named]

    def _insert(self, name: str, items: list[Any]) -> None:
        """Items in front of those of a list."""
        key, node = self.nodes[name]
        start = node.start_mark.index
        if node.flow_style and self.text[start] == "[":
            flow = ", ".join(_flow(item) for item in items)
            self.edits.append((start + 1, start + 1, f"{flow}, " if node.value else flow))
        elif not node.flow_style and self.text[start] == "-" and start > key.end_mark.index:
            line_start = self.text.rfind("\n", 0, start) + 1
            self.edits.append((line_start, line_start, self._lines(_dumped(items), node.start_mark.column)))
        # Else an anchor or a tag stands before it, and what comes out is not what was expected.

    def _remove_entry(self, name: str, node: Any, item: Any) -> None:
        if node.flow_style:
            key, _ = self.nodes[name]
            raise PublishError(
                f"README.md, line {self._line(key)}: entries of hf-rap in {name!r} stand in a list in brackets. Write it "
                "as lines that begin with `- `."
            )
        start = self.text.rfind("\n", 0, item.start_mark.index) + 1
        self.edits.append((start, self._end_of_line(_last(item).end_mark.index), ""))

    def _replace_field(self, name: str, value: Any) -> None:
        """The lines of a field, or none of them where there is no value."""
        key, node = self.nodes[name]
        start = self.text.rfind("\n", 0, key.start_mark.index) + 1
        last = _last(node)
        end = self._end_of_line(max(last.end_mark.index, key.end_mark.index))
        self.edits.append((start, end, "" if value in (None, []) else self._lines(_dumped({name: value}), self.indent)))

    def _end_of_line(self, place: int) -> int:
        if place and self.text[place - 1] == "\n":  # a block of text ends behind its last line
            return place
        end = self.text.find("\n", place)
        return len(self.text) if end < 0 else end + 1

    def _edited(self) -> str:
        text = self.text
        # Of two at the same place the later one stays behind.
        for start, end, new in sorted(self.edits, key=lambda edit: edit[:2], reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _lines(self, dumped: str, indent: int) -> str:
        return "".join(f"{' ' * indent}{line}{self.newline}" for line in dumped.splitlines())

    def _line(self, node: Any) -> int:
        return int(node.start_mark.line) + 2


def _last(node: Any) -> Any:
    """The last part of a node that has its end where it is written: a mapping in lines ends where the next field begins."""
    while isinstance(node.value, list) and node.value and not node.flow_style:
        node = node.value[-1][1] if isinstance(node.value[-1], tuple) else node.value[-1]
    return node


def _name_of(entry: Any) -> str:
    return str(entry.get("config_name"))


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _flow(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**9)
    return text.removesuffix("...\n").strip()


def _dumped(values: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text
