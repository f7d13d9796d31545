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
# # Trees
#
# **Question.** Where a publisher cannot serve everyone itself, those it serves pass things on. *How broad should such a tree
# be, what does the death of a host cost, and do workers in it get even shares?*

# %%
from workbench.report.notebook import kept, say

tree = kept("broadcast-tree/simulated")
tree.question()
tree.model()

# %% [markdown]
# ## What to expect
#
# A host that serves many copies each message many times, one after the other: the last one waits for all others. A narrow
# tree is deep instead, and each level costs a hop. The latency to the edge is the number of levels times a hop and half the
# copies, and its minimum lies in between. The dotted line is that sum.

# %%
tree.picture("curves")

# %%
say(
    f"The median latency to the edge is {tree.told('latency.p50', breadth=2)} with two to a host, "
    f"{tree.told('latency.p50', breadth=8)} with eight, and {tree.told('latency.p50', breadth=1000)} where one serves all; "
    f"its host is then busy for {tree.told('busiest_share', breadth=1000)} of the time."
)
tree.expected()

# %% [markdown]
# ## When a host dies

# %%
failure = kept("host-failure/simulated")
failure.question()
failure.picture("curves")
failure.expected()

# %% [markdown]
# ## When workers come and go

# %%
balancing = kept("balancing/simulated")
balancing.question()
balancing.picture("curves")

# %% [markdown]
# ## What would change the answer
#
# - **Larger messages**: copies take longer and the best tree is narrower.
# - **A longer way between hosts**: hops are dearer and the best tree is broader.
# - **A shorter heartbeat**: a death is noticed sooner, at the price of messages that say nothing else.
