"""msctl on a leash: it ends, as by SIGTERM, when whoever started it is gone, `kill -9` included.

python -m modserve.cli.leash start-controller ...      with a pipe as stdin, held open
"""

from __future__ import annotations

import os
import signal
import threading

from .main import main


def watch_stdin() -> None:
    # not sys.stdin: its lock, held by a waiting thread, breaks the interpreter's own end
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=watch_stdin, daemon=True).start()
    main()
