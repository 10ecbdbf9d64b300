"""Reading stored replies again: what was asked, whose replies they are, and the tokens that the model wrote."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.errors import SettingError
from hf_rap.rows.prompts import PromptTemplate, prompt_of_replies
from hf_rap.stats.settings import model_in, same_model, set_apart, settings_in
from hf_rap.tables import whole_or_stream

from .collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    import datasets

    from hf_rap.columns import Column

_SETTINGS_AT_ONCE = 1000  # texts in memory
_REPLIES_BY = "replies_by"


class StoredReplies(Collector):
    """One that has a model read the replies with the image once more, which it or another engine wrote.

    `prompt` is how they were asked for, None where their `rap_settings` say it; with `other_model` replies of another model are
    read, which is refused otherwise.
    """

    settings_column: ClassVar[Column]
    """Where its settings are written, and `replies_by`, the model that wrote the replies, where nothing says that it is this one."""
    what: ClassVar[str]
    """What it makes, as a thing that a model has."""
    how: ClassVar[str]
    """What a model other than the writer would be measured by: "how it looks at them"."""

    engine: Any
    prompt: PromptTemplate | str | None
    other_model: bool

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The stored replies, the settings they came from, and what their prompts counted."""
        available = tuple(available)
        columns.require(type(self).__name__, available, (columns.IMAGE_RESPONSES,))
        read = (columns.IMAGE_RESPONSES, columns.SETTINGS, columns.IMAGE_PROMPT_TOKENS, columns.IMAGE_TOKEN_IDS)
        return tuple(column.name for column in read if column.name in available)

    def depends_on(self, read: Mapping[str, Any]) -> Mapping[str, Any]:
        """The replies and their prompt, not how they were graded."""
        cells = {name: value for name, value in read.items() if name != columns.SETTINGS.name}
        return {**cells, **self._prompt(read.get(columns.SETTINGS.name)).settings()}

    def keeps_system(self, read: Mapping[str, Any]) -> bool:
        """The replies were given to the row's own system turn."""
        return self._prompt(read.get(columns.SETTINGS.name)).keep_system

    def over(self, ds: datasets.Dataset) -> Self:
        """The same with its layout settled; replies of another model are refused before the model is loaded."""
        settled = super().over(ds)
        rows = whole_or_stream(type(self).__name__, ds)
        identity = getattr(self.engine, "identity", None)
        read_twice = hasattr(rows, "num_rows") and columns.SETTINGS.name in rows.column_names  # a stream is not
        if identity is not None and read_twice and not self.other_model:
            for batch in rows.select_columns(columns.SETTINGS.name).iter(batch_size=_SETTINGS_AT_ONCE):
                for text in dict.fromkeys(batch[columns.SETTINGS.name]):
                    self._replies_by(settings_in(text), identity.as_settings())
        return settled

    def remarks(self, ds: datasets.Dataset) -> list[str]:
        """Whose replies these are, where that is not sure to be this model."""
        read: Counter[str] = Counter()
        name = self.settings_column.name
        for batch in ds.select_columns(name).iter(batch_size=_SETTINGS_AT_ONCE):
            texts = Counter(text for text in batch[name] if text is not None)
            for text, rows in texts.items():
                settings = settings_in(text)
                if _REPLIES_BY in settings:
                    read[f"by {settings[_REPLIES_BY]}, read with {model_in(settings)}"] += rows
        return [
            f"The replies of {rows:,} rows were written {whose}: it is this model's {self.what} only if that is the same model."
            for whose, rows in read.items()
        ]

    def _with_writer(
        self, settings: dict[str, Any], there: Mapping[str, Any], here: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The settings of a row whose replies were written with the settings `there`."""
        writer = self._replies_by(there, here)
        return settings if writer is None else set_apart({**settings, _REPLIES_BY: writer}, _REPLIES_BY)

    def _replies_by(self, there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
        """The model that wrote the replies, where nothing says that it is this one."""
        same = same_model(there, here)
        if same is False and not self.other_model:
            raise SettingError(
                f"These replies were written by {model_in(there)}, and this is {model_in(here)}: {self.how} says nothing of "
                "why they were written. Read them with the model and revision that wrote them, or say that "
                f"another one is meant: {type(self).__name__}(engine, other_model=True), --other-model."
            )
        return None if same else model_in(there)

    @property
    def _given(self) -> PromptTemplate | None:
        assert not isinstance(self.prompt, str)  # a name has become a template
        return self.prompt

    def _prompt(self, settings: str | None) -> PromptTemplate:
        prompt = self._given or prompt_of_replies(settings_in(settings))
        return self.check_prompt(prompt)
