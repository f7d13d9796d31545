# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The claims
#
# **Question.** Two articles praise brokerless messaging: one on nanomsg and the scalability protocols, one on distributed
# messaging with ZeroMQ. *What of that can be shown?*
#
# Each row below is a claim, what came of it, the figures that this rests on, and the command that asks anew. The verdicts are
# computed here from the reference results that are kept with the repository; nothing is typed in. A claim that holds
# *within bounds* says which; one that cannot be tested on a machine such as this one says why.

# %%
from workbench.report.claims import CLAIMS
from workbench.report.notebook import kept, say

rows = [(claim, *claim.judged()) for claim in CLAIMS]
say(
    "\n".join(
        ["| claim | verdict | what it rests on | ask again |", "|---|---|---|---|"]
        + [
            f"| **{claim.number}** {claim.text} | **{verdict}** | {figures} | `{claim.command}` |"
            for claim, verdict, figures in rows
        ]
    )
)

# %% [markdown]
# ## The figures
#
# For each claim that has one, the figure that shows it, with intervals and, where theory knows better, its line.

# %%
for claim in CLAIMS:
    if claim.figure:
        say(f"### {claim.number} {claim.text}")
        kept(claim.runs[0]).picture(claim.figure)

# %% [markdown]
# ## What would change the answers
#
# - **Another machine.** What is measured was measured on two virtual processors; a wake-up across cores is dear there. The
#   manifest of each run says which machine it was.
# - **Another topology.** What is simulated holds for the scenario it was simulated for. Each file in `scenarios` is short and
#   made to be changed.
