"""Publishes in a child of its own each time a line comes in, so that a test can kill it: prints the child, then how it ended."""

import os
import sys

from three_rows import REPO, make  # beside this file


def main() -> None:
    selection = make(0.5)
    from huggingface_hub import constants

    from hf_rap.hub import publish

    for _ in sys.stdin:
        child = os.fork()
        if not child:
            # Nothing that another one has read is known to it, so that all ask the same.
            constants.HF_HUB_CACHE = f"{os.environ['HF_HOME']}/{os.getpid()}"
            publish(selection, REPO, "1.1.0")
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
