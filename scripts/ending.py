"""How a script ends, as `harness` does: no traceback for what is no bug of ours."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from harness.errors import HarnessError, UserError
from harness.run.machine import scrub


def end(main: Callable[[], int]) -> NoReturn:
    """Exits with what `main` returns; 2 after the user's mistake, 3 after any other error that the
    harness raises on purpose, 130 after Ctrl-C, 143 when told to end.

    Each of these goes through what `main` has open: a server of its own ends with it.
    """
    name = Path(sys.argv[0]).name
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        raise SystemExit(main())
    except HarnessError as error:
        print(f"{name}: {scrub(str(error))}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UserError) else 3) from None
    except KeyboardInterrupt:
        print(f"\n{name}: stopped", file=sys.stderr)
        raise SystemExit(130) from None
