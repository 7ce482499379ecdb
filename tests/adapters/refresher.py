"""A process that refreshes the tokens of Contoso until its input ends.

It prints how many tokens it got.
"""

import itertools
import select
import sys
from datetime import UTC, datetime, timedelta

from shared.bootstrap import Services
from shared.errors import ConsentRequiredError
from shared.system import RealSystem
from tests.local_stack.microsoft365.contoso import CONTOSO


class FastClock(RealSystem):
    """A clock that advances a week per call, so that each refresh stores."""

    def __init__(self) -> None:
        self._weeks = itertools.count(1)

    def now(self) -> datetime:
        return datetime.now(UTC) + next(self._weeks) * timedelta(days=8)


def main() -> None:
    """Refresh; a concurrent Reset or new consent is no error."""
    ports = Services(system=FastClock())
    got = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        found = ports.settings.load(CONTOSO)
        if found.consent is None:
            continue
        try:
            ports.tokens.get(CONTOSO, found.consent, fresh=True)
        except ConsentRequiredError:
            continue
        got += 1
    print(got, flush=True)


if __name__ == "__main__":
    main()
