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
# # Throughput and latency
#
# **Question.** *How many messages a second does each library move between two processes of one machine, and how long does a
# request take to come back?*

# %%
from workbench.report.notebook import kept, say

run = kept("throughput-latency/measured")
run.question()

# %% [markdown]
# ## The method
#
# Each figure comes from interleaved blocks: in a block every library is measured once, in random order, by fresh processes
# that are pinned. Ratios are within a block; their interval is that of order statistics. Each run has a control, the same
# library against itself, and nothing smaller than the control's spread is claimed. Where the two processes execute decides a
# round trip, so both placements are measured and never mixed.

# %%
run.model()

# %%
run.picture("libraries")

# %% [markdown]
# Plain sockets stand beside the libraries: `tcp` writes each message by itself, `tcp-batched` many together. The first is what
# a program gets that frames messages on its own; the second is the wall.

# %%
run.table("flood:throughput", "ping:round_trip.p50", "ping:round_trip.p99")

# %% [markdown]
# ## What the comparison says

# %%
run.verdicts()

# %% [markdown]
# ## What would change the answer
#
# - **The placement.** On virtual machines a wake-up across cores takes several times one on the same core; a library that
#   hands messages from thread to thread pays it twice for each request.
# - **The size.** With large messages everybody copies, and the kernel decides.
# - **The load.** A flood shows what can be moved, not how long a message waits; see the open loads of `make bench`.
