"""Starts a worker process: `python -m modserve.worker < options.json`.

Importing torch and transformers makes millions of objects that stay. To look for garbage among them
again and again took an eighth of the processor time of the imports (6.9 s without it, 8.1 s with
it), so nobody looks until they are there.
"""

from __future__ import annotations

import gc
import logging
import os


def start() -> int:
    gc.disable()
    from .main import main

    gc.enable()
    return main()


if __name__ == "__main__":
    # torch's threads and the links' may still be in the middle of something: do not wait for them
    code = start()
    logging.shutdown()
    os._exit(code)
