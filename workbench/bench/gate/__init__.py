"""The performance gate: does this version do more work, or take longer, than the one it is based on?

| to | use |
|---|---|
| judge the working tree against a commit | `judge.judge` |
| build the two versions alike | `sides` |
| count what a message costs, exactly | `counters`, with `tracer` |
| time both versions side by side | `trials` |
| see slow drifts over many commits | `history` |
| know the limits, and what is excused until when | `limits` |
| know what is measured | `probes` |

Three tiers. Counters are deterministic and block at once. Clocks are not, so what they say blocks only when a sign
test says it twice and the base does not beat itself. The history never blocks.
"""
