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
# # Survey deadlines
#
# **Question.** A surveyor asks everyone at once and takes the answers that come before its deadline. *How long must it wait to
# hear all of them?*

# %%
from workbench.report.notebook import kept, say

run = kept("survey-deadline/simulated")
run.question()
run.model()

# %% [markdown]
# ## What to expect
#
# An answer is in time if the way there and back and the respondent's own time fit into the deadline. All of them are in time
# if the slowest is: the maximum of many. For independent times its distribution is the product of theirs, so the deadline for
# a complete survey grows with every respondent, and it is set by the farthest region and not by the average one. The dotted
# line is that product, computed from what the scenario declares.

# %%
run.picture("curves")

# %%
run.table("completeness", "complete_share", "late")

# %% [markdown]
# ## What we learned

# %%
deadlines = [value for values in run.scenario.sweep.values() for value in values]
enough = next(value for value in deadlines if run.result.points[deadlines.index(value)].metrics["complete_share"].value > 0.95)
say(
    f"Of the deadlines tried, {enough} is the first with which more than nineteen surveys of twenty are complete "
    f"({run.told('complete_share', deadline=enough)}). With {deadlines[0]} only {run.told('completeness', deadline=deadlines[0])} "
    "of the answers are in time: a deadline made for the near regions does not hear the far ones at all."
)
run.expected()

# %% [markdown]
# ## What would change the answer
#
# - **A farther region**: the deadline follows the worst round trip. Try `--set distances=aws-2023`.
# - **Slow respondents**: a heavy tail of service times moves the complete share long before it moves the mean.
# - **An answer that is late is not lost for the network**: it still travels, and is thrown away where it arrives.
