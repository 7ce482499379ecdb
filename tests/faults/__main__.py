"""`make faults`: the whole campaign; prints the outcome of each mail.

It runs with Mail.ReadWrite and without. With application permission only the scenarios about the mailbox
search run.
"""

from __future__ import annotations

import sys

from tests.faults.campaign import HEADER, Campaign, Result, summary
from tests.faults.refusals import refused_mails
from tests.faults.scenarios import everything


def _tell(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main(wanted: list[str]) -> int:
    """Return 1 if an invariant broke; words select scenarios by name."""
    results: list[Result] = []
    for look_up, by_the_app in ((True, False), (False, False), (True, True), (False, True)):
        permissions = "Mail.Send and Mail.ReadWrite" if look_up else "Mail.Send alone"
        print(f"\n{permissions}{', of the app itself' if by_the_app else ''}\n\n{HEADER}", flush=True)
        with Campaign(look_up=look_up, by_the_app=by_the_app, outcomes=True) as campaign:
            for scenario in refused_mails() if by_the_app else everything():
                left_out = wanted and not any(word in scenario.name for word in wanted)
                if left_out or (scenario.drafts and not look_up):
                    continue
                result = campaign.run(scenario)
                _tell(f"{scenario.name}: {result.faults} faults")
            settled = campaign.settle(tell=_tell)
            for result in settled:
                print(result.row(), *result.wrong, sep="\n    ", flush=True)
            print(f"unsent drafts: {campaign.drafts()}", flush=True)
            told = sum(map(len, campaign.told.values()))
            print(f"outcomes: {told} messages on {len(campaign.told)} mails", flush=True)
            results += settled
    print(f"\n{summary(results)}")
    bad = [result for result in results if result.wrong or result.under_way]
    print(f"\nfaults: {len(results)} tried, {len(bad)} broke a promise")
    return 1 if bad else 0


sys.exit(main(sys.argv[1:]))
