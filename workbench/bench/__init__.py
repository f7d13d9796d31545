"""Measuring: messaging libraries between real processes of this machine, compared honestly.

| to | use |
|---|---|
| measure a scenario's workloads that are alone | `conductor.measure` |
| know which libraries there are, and what each does | `peers.PEERS` |
| let threads share one socket, and see what comes of it | `sharing.share` |
| start processes that end when we do | `processes.Crew` |

A `conductor` starts pairs of fresh processes (`site`, which plays one of the `roles`) on the processors that
`placement` chooses, in the order that `pairs` draws; `readings` turns what they said into metrics, `quiet` says how
quiet the machine was, `verdicts` puts the ratios into sentences.

This file imports nothing: every measuring process reads it first, and what is not imported cannot disturb.
"""
