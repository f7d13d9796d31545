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
# # New York and London
#
# **Question.** A service called *foo* has instances in New York and in London, and users in both places. ZeroMQ hands
# requests out in turns; nanomsg lets a user give the instances at home a better priority. *Does priority routing keep
# New York's requests out of London, what does it cost when New York's instances die, and is that also true on real
# sockets?*
#
# The numbers below come from the reference results that are kept with the repository. To make your own:
#
# ```
# workbench run scenarios/priority-routing.yaml
# workbench run scenarios/priority-routing.yaml --world real
# ```

# %%
from IPython.display import Image, Markdown, display

from workbench.report import plots, setting, style, tables, worlds
from workbench.report.notebook import kept

simulation = kept("priority-routing/simulated")
scenario, simulated = simulation.scenario, simulation.result
measured = kept("priority-routing/measured").result
display(Markdown(f"> {scenario.question}"))


def show(figure):
    """Show a figure as the report does."""
    display(Image(style.png(figure)))


# %% [markdown]
# ## The model
#
# Every user and every instance is a host with the engine's own state machines on it; nothing about the protocol is
# modelled a second time. What the scenario declares:

# %%
link = scenario.link("new-york", "london")
foo = scenario.services["foo"]
where = ", ".join(f"{count} in {site}" for site, count in foo.at.items())
runs = len(simulated.points[0].replications)
declared = [
    f"link new-york – london: {link.one_way * 2e3:g} ms there and back, jitter {link.jitter * 1e3:g} ms on average",
    f"foo: {where}; {foo.workers} workers each, {foo.time} for a request",
    *(f"users in {load.at[0]}: {load.load}" for load in scenario.workloads.values()),
    f"one run: {scenario.run.duration:g} s, the first {scenario.run.warm_up:g} s not measured",
    f"{runs} runs for each policy, with the same luck",
]
for event in scenario.fault_events():
    hit = ", ".join(f"{service} in {site}" for service, site in event.instances)
    declared.append(f"at {event.at:g} s: {event.action} {hit}")
display(Markdown("\n".join(f"- {line}" for line in declared)))

# %% [markdown]
# ## What to expect
#
# With turns, each of the four instances gets every fourth request: half of New York's requests leave home. With
# priorities none does while an instance at home can take it. A request that goes abroad takes a round trip more. When
# New York's instances die, their connections break, and what was on its way is sent again at once; from then on
# London's answers take the round trip. None of this needs a simulator. How long the change takes, what the losses are,
# and what the tail looks like, does.

# %%
instances = [part for count in foo.at.values() for part in range(count)]
abroad = foo.at["london"] / len(instances)
extra = f"{link.one_way * 2e3:g} ms"
display(Markdown(f"expected share abroad with turns: **{abroad:.0%}**; expected extra latency abroad: **{extra}**"))

# %% [markdown]
# ## What the simulation says

# %%
for verdict in simulated.verdicts:
    display(Markdown(f"- {verdict.text}"))

# %%
show(plots.answers_over_time(simulated, setting.windows(scenario.fault_events())))

# %%
show(plots.distribution(simulated))

# %% [markdown]
# The users in London notice nothing of this, or do they? With turns, half of *their* requests depend on New York.

# %%
names = [
    f"{workload}:{metric}"
    for workload in scenario.workloads
    for metric in ("latency.p50.before", "latency.p50.during", "latency.p99.during", "repeated", "lost")
]
print(tables.text(tables.grid(simulated, names)))

# %% [markdown]
# ## And on real sockets?
#
# The same file, run by processes of one machine: a relay delays every byte between the two sites as the link would.

# %%
both = worlds.beside(simulated, measured, tables.short_metrics(simulated))
print(tables.text(worlds.grid(both)))

# %%
show(plots.worlds(simulated, measured))

# %% [markdown]
# The two worlds run the same state machines; what differs is what the simulation leaves out: the processor that the
# processes share, the operating system's timers, Python between the requests. The distance shows how much that is.

# %%
print(tables.text(worlds.distance_grid(both)))

# %% [markdown]
# ## What we learned

# %%
def told(policy, metric):
    """A value with its interval."""
    return simulation.told(metric, routing=policy)


display(
    Markdown(
        f"Priority routing keeps New York's requests home: {told('priority', 'new-york:cross_site_share')} of them leave, "
        f"against {told('round-robin', 'new-york:cross_site_share')} with turns. When New York's instances die, the first "
        f"answer from London comes after {told('priority', 'failover_time')}; when they are back, the first one at home after "
        f"{told('priority', 'failback_time')}. Lost: {told('priority', 'lost')} requests a run."
    )
)

# %% [markdown]
# ## What would change the answer
#
# - **A home that is not dead but overloaded.** The rule is *first writable*, not *primary and backup*: when the queues at
#   home are full, requests spill over to London. Try `--set services.foo.workers=1 --set services.foo.queue=2`.
# - **A link that falls silent instead of breaking.** A killed process breaks its connections and is noticed at once; a
#   cut link is noticed only by the requests that time out. Replace the fault with `cut: [new-york, london]`.
# - **Few users.** With one request a second, the time to fail over is mostly the wait for the next request.
