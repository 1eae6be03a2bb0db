"""``python -m oco2_outliers``, and the start of the console script: nothing heavy is imported before a signal is met."""

import gc
import os
import signal
import sys
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: before the work begins, and after it is done, there is nothing to tidy up."""
    os._exit(128 + number)


def run() -> int:
    """Run the command line of the process; Ctrl-C and SIGTERM leave no traceback while it starts or ends."""
    gc.set_threshold(50_000, 20, 20)  # loading makes many objects, and none of them is garbage
    usual = {number: signal.getsignal(number) for number in _SIGNALS}
    early = [number for number in _SIGNALS if usual[number] in (signal.SIG_DFL, signal.default_int_handler)]
    for number in early:
        signal.signal(number, _leave)
    # What the program says of itself takes a twentieth of a second, the commands another.
    from oco2_outliers.shell.front import told_itself as main
    from oco2_outliers.shell.front import wants_commands

    if wants_commands(sys.argv[1:]):
        from oco2_outliers.cli import main

    for number in early:
        signal.signal(number, usual[number])
    code = main()
    gc.freeze()  # the process ends: nobody needs to look for garbage in all that was loaded, a tenth of a second
    for number in early:
        signal.signal(number, _leave)
    return code


if __name__ == "__main__":
    sys.exit(run())
