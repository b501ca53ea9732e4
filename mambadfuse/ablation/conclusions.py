"""What follows for the baseline from the verdicts of an ablation, in words.

=============  ====================================================================================
verdict        what follows
=============  ====================================================================================
better         speaks against the baseline: it should change, or a reason be given why not
worse          speaks for the baseline: what the row takes away or exchanges is needed
equal          does not matter within the margin, so that the cheaper of the two will do
open           undecided: no reason to change the baseline, and none to keep it either
not learnt     speaks for the baseline: without what the row takes away, the training can fail
=============  ====================================================================================
"""

from collections.abc import Mapping

from mambadfuse.ablation.verdicts import Verdict

_FOLLOWS: Mapping[Verdict, str] = {
    "better": "against {}",
    "worse": "for {}",
    "equal": "does not matter",
    "open": "undecided",
    "not learnt": "fails to learn",
}


def rows_by_verdict(verdicts: Mapping[str, Verdict]) -> dict[Verdict, list[str]]:
    """The rows with each verdict, in the given order; every verdict is there.

    >>> rows_by_verdict({"gate-shared": "equal", "m3-off": "worse", "norm-once": "equal"})["equal"]
    ['gate-shared', 'norm-once']
    """
    return {verdict: [row for row, found in verdicts.items() if found == verdict] for verdict in _FOLLOWS}


def conclusions(verdicts: Mapping[str, Verdict], baseline: str = "default") -> list[str]:
    """How many rows have an answer, and a line for each verdict that says what follows for the baseline.

    Args:
        verdicts: of every row but the baseline, by one metric.
        baseline: its name.

    >>> print("\\n".join(conclusions({"gate-shared": "equal", "m3-off": "worse", "depth-double": "open"})))
    rows with an answer: 2 of 3
    against default (better): none
    for default (worse): m3-off
    does not matter (equal): gate-shared
    undecided (open): depth-double
    """
    found = rows_by_verdict(verdicts)
    lines = [
        f"{_FOLLOWS[verdict].format(baseline)} ({verdict}): {', '.join(rows) or 'none'}"
        for verdict, rows in found.items()
        if rows or verdict != "not learnt"
    ]
    return [f"rows with an answer: {len(verdicts) - len(found['open'])} of {len(verdicts)}", *lines]
