"""The README as the page of the package shows it: its links lead into the repository, for nothing lies beside it there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"\.(png|svg|gif|jpe?g)$")
# Not those that are whole, lead within the page, or write a letter.
RELATIVE = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)")


class WholeLinks(MetadataHookInterface):
    """Without a Repository under [project.urls] the links stay as they are: a release is refused then."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Puts the text of README.md where `readme` would stand."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        home = metadata.get("urls", {}).get("Repository")
        if home:
            raw = home.replace("https://github.com/", "https://raw.githubusercontent.com/")
            text = RELATIVE.sub(
                lambda link: f"]({f'{raw}/main' if PICTURE.search(link[1]) else f'{home}/blob/main'}/{link[1]})", text
            )
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
