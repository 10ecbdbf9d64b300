"""Publishes in a child of its own each time a line comes in, so that a test can kill it: prints the child, then how it ended."""

import os
import sys

import test_faults  # beside this file


def main() -> None:
    selection = test_faults.make(0.5)
    from hf_rap.hub import publish

    for _ in sys.stdin:
        child = os.fork()
        if not child:
            os.environ["HF_HOME"] = os.environ["HF_HOME"] + str(os.getpid())
            publish(selection, test_faults.REPO, "1.1.0")
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
