"""A chat template draws a short chat in a process of its own, whose memory the system limits.

    python -P template_trial.py < {"template": "...", "special": {"bos_token": "<s>"}, "seconds": 10}

Jinja keeps a template from the machine, not from its memory: `{{ 'a' * 10 ** 10 }}` is one operation of C, during which nothing
in the process itself can look. Ends with 0 where the template is fine, or wrong in another way, which shows when it is used;
with 3 where it takes more memory; SIGPROF ends it when its time is up. Run as a file: it knows nothing of this package.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import datetime
from typing import Any

MEMORY = 1 << 30  # bytes of addresses; Python and Jinja have 60 MB
TOO_LARGE = 3


def environment() -> Any:
    """As transformers makes it (5.24, utils/chat_template_utils.py), for what a template does on its way to its text."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks the reply."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja asks for it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def refuse(message: str) -> None:
        raise ValueError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    # Both do what they do there: their arguments come from the template, and so does the size of what they make.
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005 - as transformers does
    return made


def main() -> None:
    """Draw it and end."""
    import resource

    trial = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    made = environment()
    signal.setitimer(signal.ITIMER_PROF, trial["seconds"])
    content = [{"type": "image"}, {"type": "text", "text": "How many are there?"}]
    try:
        template = made.from_string(trial["template"])
        for messages in ([{"role": "user", "content": content}], [{"role": "user", "content": "How many are there?"}]):
            template.render(messages=messages, add_generation_prompt=True, tools=None, **trial["special"])
    except MemoryError:
        sys.exit(TOO_LARGE)
    except Exception:  # noqa: BLE001 - it shows when the template is used
        sys.exit(0)


if __name__ == "__main__":
    main()
