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
# # Subscriptions
#
# **Question.** ZeroMQ keeps what a subscriber asked for in a trie, nanomsg in a radix tree. *What does a subscription cost in
# each, and where does a trie become unreasonable?*

# %%
from workbench.report.notebook import kept, say

run = kept("subscriptions/measured")
run.question()

# %% [markdown]
# ## The model
#
# There is none: the structures measured are those of the engine, filled with real keys. Bytes are counted exactly, by an
# allocator that keeps account; beside ours stands what the same keys take in the layouts of libzmq and of nanomsg.

# %%
run.model()

# %% [markdown]
# ## What to expect
#
# A trie has a node for each byte of a key that no other key shares, so long random keys are dear: about as many nodes as the
# keys have bytes. A radix tree has at most two nodes for each key, whatever its length. Both look at each byte of a topic
# once, so the time to match depends on the length of the topic and on whether the nodes are near in the cache: hence the knee
# where the index outgrows the cache. A list looks at every subscription.

# %%
run.picture("curves")

# %%
run.table("subscription.zeromq", "subscription.bytes", "subscription.match_time")

# %% [markdown]
# ## What we learned

# %%
ten_thousand = {"keys": "random", "topics": 10000}
say(
    f"With ten thousand random keys a subscription takes {run.told('subscription.zeromq', index='trie', **ten_thousand)} in a "
    f"trie laid out as libzmq does it, and {run.told('subscription.bytes', index='radix', **ten_thousand)} in our radix tree. "
    f"To match a message takes {run.told('subscription.match_time', index='trie', **ten_thousand)} and "
    f"{run.told('subscription.match_time', index='radix', **ten_thousand)}; in a list it takes "
    f"{run.told('subscription.match_time', index='list', **ten_thousand)}."
)
run.expected()

# %% [markdown]
# ## What would change the answer
#
# - **Keys that share much.** With hierarchical topics the trie's chains are shared and the difference shrinks.
# - **Few subscriptions.** Below some hundreds a list fits into the cache, and nobody notices what it costs.
# - **Keys made to hurt**, the pathological ones: each a prefix of the next.
