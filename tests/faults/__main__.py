"""`make faults`: the whole campaign; prints the outcome of each mail.

It runs with Mail.ReadWrite and without. With application permission only the scenarios about the mailbox
search run.
"""

from __future__ import annotations

import sys

from tests.faults.campaign import HEADER, Campaign, Result, summary
from tests.faults.refusals import refused_mail_scenarios
from tests.faults.scenarios import all_scenarios


def _report(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main(wanted: list[str]) -> int:
    """Return 1 after a violation; words select scenarios by name."""
    results: list[Result] = []
    for look_up, by_the_app in ((True, False), (False, False), (True, True), (False, True)):
        permissions = "Mail.Send and Mail.ReadWrite" if look_up else "Mail.Send alone"
        print(f"\n{permissions}{', of the app itself' if by_the_app else ''}\n\n{HEADER}", flush=True)
        with Campaign(look_up=look_up, by_the_app=by_the_app, outcomes=True) as campaign:
            for scenario in refused_mail_scenarios() if by_the_app else all_scenarios():
                left_out = wanted and not any(word in scenario.name for word in wanted)
                if left_out or (scenario.drafts and not look_up):
                    continue
                result = campaign.run(scenario)
                _report(f"{scenario.name}: {result.faults} faults")
            settled = campaign.settle(report=_report)
            for result in settled:
                print(result.row(), *result.violations, sep="\n    ", flush=True)
            print(f"unsent drafts: {campaign.drafts()}", flush=True)
            reported = sum(map(len, campaign.reported.values()))
            print(f"outcomes: {reported} messages on {len(campaign.reported)} mails", flush=True)
            results += settled
    print(f"\n{summary(results)}")
    bad = [result for result in results if result.violations or result.unfinished]
    print(f"\nfaults: {len(results)} tried, {len(bad)} violated an invariant")
    return 1 if bad else 0


sys.exit(main(sys.argv[1:]))
