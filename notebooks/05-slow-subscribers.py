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
# # Slow subscribers
#
# **Question.** A subscriber is slower than its publisher. *Is it better to block, to drop, to cut it off, or to have it kill
# itself?*

# %%
from workbench.report.notebook import kept, say

policies = kept("slow-subscriber/simulated")
policies.question()
policies.model()

# %% [markdown]
# ## What to expect
#
# A queue between a source and a sink that is half as fast is full after a while, whatever its size. From then on everything
# that is delivered has waited for a whole queue: its age is the length of the queue divided by the subscriber's rate, and half
# of what is sent must be lost. Blocking loses nothing on the way and delays the publisher instead, and with it everyone else.

# %%
policies.picture("metrics")

# %%
policies.verdicts()
policies.expected()

# %% [markdown]
# ## The suicidal snail
#
# The guide to ZeroMQ proposes a subscriber that looks at the age of what it receives and, when it is too old, kills itself:
# better no data than stale data.

# %%
snail = kept("suicidal-snail/simulated")
snail.question()
snail.picture("metrics")

# %%
say(
    f"The snail falls behind by half a second each second and has a patience of one: it dies after "
    f"{snail.told('give_up_time', like='zeromq')} with queues as in ZeroMQ, and {snail.told('lost', like='zeromq')} messages "
    f"were lost before. With queues as in NNG: {snail.told('give_up_time', like='nng')}."
)
snail.expected()

# %% [markdown]
# ## What would change the answer
#
# - **Shorter queues**: the data is fresher and more of it is lost. The queue's length is the age one can live with.
# - **Bursts instead of a constant rate**: a queue is made for those, and drops nothing if it is longer than the burst.
# - **A subscriber that is faster on average**: then none of this matters, unless it stalls.
