"""Warnings of other libraries while rows are run, and our own deprecations."""

import base64
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image

import hf_rap
from hf_rap.errors import RapDeprecationWarning, RapError, warnings_stay_warnings
from hf_rap.rows.images import open_image


@pytest.fixture(autouse=True)
def raised():
    """As under `python -W error`, for the time of a test."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        yield


def shown(call):
    """What `call` warns of, where it is shown at all."""
    texts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "showwarning", lambda message, *_: texts.append(str(message)))
        call()
    return texts


def warn_once_more(text, category=UserWarning):
    """A warning from a place of its own, so that it counts as new."""
    warnings.warn_explicit(text, category, "elsewhere.py", 1, registry={})


def test_a_warning_is_shown_within_and_raised_afterwards():
    """Deprecations, too; the filters of the caller hold again at once."""

    def within():
        with warnings_stay_warnings():
            warn_once_more("old", DeprecationWarning)
            warn_once_more("odd")

    assert shown(within) == ["old", "odd"]
    with pytest.raises(UserWarning, match="odd"):
        warn_once_more("odd")


def test_what_is_ignored_stays_ignored():
    """A filter that the caller has put before the one that raises goes first, as ever."""
    warnings.filterwarnings("ignore", message="known")

    def within():
        with warnings_stay_warnings():
            warn_once_more("known trouble")
            warn_once_more("new trouble")

    assert shown(within) == ["new trouble"]


def test_filters_with_a_pattern_keep_it():
    """`-W error:some text` raises that text alone, and nothing else comes into sight by it."""
    warnings.resetwarnings()
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("error", message="some", category=UserWarning, module="elsewhere")

    def within():
        with warnings_stay_warnings():
            warn_once_more("some text")
            warn_once_more("other text")
            warn_once_more("some text", DeprecationWarning)

    assert shown(within) == ["some text"]
    with pytest.raises(UserWarning, match="some text"):
        warn_once_more("some text")


def test_filters_do_not_grow():
    """A run enters as often as it has batches, whatever the caller does to the filters in between."""
    for _ in range(5):
        with warnings_stay_warnings():
            warnings.simplefilter("error")
    with warnings_stay_warnings():
        pass
    assert [rule[0] for rule in warnings.filters] == ["default", "error"]


def test_our_own_deprecations_are_raised_where_that_is_asked_for():
    """As the tests of this project do: the filter names the category."""
    warnings.resetwarnings()
    warnings.filterwarnings("error", category=RapDeprecationWarning)
    with warnings_stay_warnings(), pytest.raises(RapDeprecationWarning, match=r"until 9\.0"):
        warn_once_more("until 9.0", RapDeprecationWarning)


def test_the_tests_of_this_project_raise_our_own_deprecations_alone(pytestconfig):
    """A library that deprecates something must not fail a hundred tests, as it would fail no user's rows."""
    assert pytestconfig.getini("filterwarnings") == ["error::hf_rap.errors.RapDeprecationWarning"]


def test_an_error_within_is_an_error():
    """And leaves nothing behind."""
    with pytest.raises(ValueError, match="mine"), warnings_stay_warnings():
        raise ValueError("mine")
    with pytest.raises(UserWarning):
        warn_once_more("odd")


def test_threads_that_come_and_go_never_raise_within():
    """Eight threads enter and leave at different times, one of them in `catch_warnings`; all is as before afterwards."""
    barrier = threading.Barrier(8)

    def run(number):
        barrier.wait()
        for step in range(60):
            with warnings_stay_warnings():
                warn_once_more(f"{number} {step}")
                time.sleep(0.0001 * (number + step % 3))
                if number == 0:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        warn_once_more("ignored")
                warn_once_more(f"{number} {step} again")
        return number

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "showwarning", lambda *_: None)
        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(run, range(8))) == list(range(8))
    with pytest.raises(UserWarning):
        warn_once_more("odd")


def test_a_thread_that_a_library_starts_is_within():
    """transformers reads weights in threads of its own."""

    def within():
        with warnings_stay_warnings(), ThreadPoolExecutor(1) as pool:
            pool.submit(warn_once_more, "from a thread").result()

    assert shown(within) == ["from a thread"]


def test_an_image_with_broken_exif_can_be_read():
    """Pillow warns of it; the picture is fine."""
    broken = base64.b64decode(
        "RXhpZgAATU0AKgAAAAgAAQESAAMAAAAB"  # a directory of one entry, cut off in its middle
    )
    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "JPEG", exif=broken)
    with pytest.raises(UserWarning):
        Image.open(BytesIO(file.getvalue())).getexif()
    assert shown(lambda: open_image(file.getvalue())) != []


def test_answers_are_compared_while_a_library_warns(monkeypatch):
    """A deprecation inside math-verify is no reason not to judge."""
    import math_verify

    from hf_rap.verify import judge

    verify = math_verify.verify

    def deprecated(*args, **options):
        warnings.warn("verify will be gone", DeprecationWarning, stacklevel=2)
        return verify(*args, **options)

    monkeypatch.setattr(math_verify, "verify", deprecated)
    assert judge(r"\boxed{\frac{123457}{7} + x}", r"x + \frac{123457}{7}").reward == 1.0


class Reached(RapError):
    """The engine was asked, and its warning was let pass."""


class WarningEngine:
    """Whatever is asked of it, a library inside it warns, and then it says that it was reached."""

    continues = True

    def complete(self, *_, **__):
        warn_once_more("from inside", FutureWarning)
        raise Reached

    attend = log_likelihoods = complete

    def describe(self):
        warn_once_more("from inside", FutureWarning)
        return {}


def png():
    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


ASKED = {"problem": ["<image>How many?"], "images": [[{"bytes": png(), "path": None}]], "answer": ["4"]}
REPLIES = {"rap_image_responses": [["Four: 4"]], "rap_image_rewards": [[1.0]], "rap_settings": ["{}"]}
SAMPLED = {
    **REPLIES,
    "rap_settings": ['{"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 8, "seed": 0}'],
}


@pytest.mark.parametrize(
    ("collector", "batch"),
    [
        (hf_rap.Rollouts(WarningEngine()), ASKED),
        (hf_rap.Attention(WarningEngine()), {**ASKED, **REPLIES}),
        (hf_rap.Likelihood(WarningEngine()), ASKED),
        (hf_rap.Controls(WarningEngine(), arms=("blank",)), {**ASKED, **SAMPLED}),
        (hf_rap.StepRewards(WarningEngine()), {**ASKED, "response": ["One.\n\nTwo."]}),
    ],
    ids=lambda each: type(each).__name__,
)
def test_collectors_of_evidence_are_within(collector, batch):
    """Whatever engine they have, also one from outside."""
    with pytest.raises(Reached):
        shown(lambda: collector(batch))


def test_every_interpreter_finds_the_filters_it_has():
    """`python -W error` in a process of its own, also for what is put in by `PYTHONWARNINGS`."""
    code = (
        "import warnings\n"
        "from hf_rap.errors import warnings_stay_warnings\n"
        "with warnings_stay_warnings():\n"
        "    warnings.warn('shown')\n"
        "try:\n"
        "    warnings.warn('raised')\n"
        "except UserWarning as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "raised\n"
    assert "UserWarning: shown" in done.stderr
