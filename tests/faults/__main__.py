"""`make faults`: the whole campaign, with Mail.ReadWrite and without; prints what became of each mail."""

from __future__ import annotations

import sys

from tests.faults.campaign import HEADER, Campaign, Result
from tests.faults.scenarios import everything


def _tell(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main(wanted: list[str]) -> int:
    """Return 1 where an invariant broke; words choose the scenarios whose names have one of them."""
    results: list[Result] = []
    for look_up in (True, False):
        print(f"\n{'Mail.Send and Mail.ReadWrite' if look_up else 'Mail.Send alone'}\n\n{HEADER}", flush=True)
        with Campaign(look_up=look_up) as campaign:
            for scenario in everything():
                left_out = wanted and not any(word in scenario.name for word in wanted)
                if left_out or (scenario.drafts and not look_up):
                    continue
                result = campaign.run(scenario)
                _tell(f"{scenario.name}: {result.faults} faults")
            settled = campaign.settle(tell=_tell)
            for result in settled:
                print(result.row(), *result.wrong, sep="\n    ", flush=True)
            print(f"half-made mails in Drafts: {campaign.drafts()}", flush=True)
            results += settled
    bad = [result for result in results if result.wrong or result.under_way]
    print(f"\nfaults: {len(results)} tried, {len(bad)} broke a promise")
    return 1 if bad else 0


sys.exit(main(sys.argv[1:]))
