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
# # Write your own scenario
#
# **Question.** *Yours.* A scenario is a page of YAML; this one asks how many workers a service needs. Move the sliders: the
# virtual world answers while you drag.

# %%
from workbench.report import plots
from workbench.report.notebook import say
from workbench.scenario import parse
from workbench.sim.answer import answer

YAML = """
version: 1
name: how-many-workers
question: How many workers does the desk need?
sites: {here: , away: }
links:
  - {between: [here, away], rtt: 20 ms, jitter: 1 ms}
services:
  desk: {at: {away: 1}, workers: 4, time: exponential 10 ms}
workloads:
  visitors: {at: here, to: desk, load: poisson 300/s}
run: {duration: 10 s, warm-up: 1 s, replications: 3, seed: 1}
"""
print(YAML)

# %% [markdown]
# ## The answer
#
# `parse` checks the text and says what is wrong with it, line and column; `--set` in the command line and `sets` here change
# it without editing.

# %%
def ask(workers=4, rate=300, round_trip=20):
    """Simulate the scenario with these settings."""
    sets = [f"services.desk.workers={workers}", f"workloads.visitors.load=poisson {rate}/s", f"links.0.rtt={round_trip} ms"]
    return answer(parse(YAML, sets=sets))


result = ask()
point = result.points[0]
load = 300 * 0.010 / 4
say(
    f"At {load:.0%} load the median latency is {point.metrics['latency.p50'].value * 1e3:.1f} ms, and one request in a hundred "
    f"takes longer than {point.metrics['latency.p99'].value * 1e3:.1f} ms."
)

# %%
from IPython.display import Image, display

from workbench.report import style

display(Image(style.png(plots.distribution(result))))

# %% [markdown]
# ## With sliders
#
# This cell needs a running kernel: the figure below the sliders follows them.

# %%
import ipywidgets


def look(workers, rate, round_trip):
    """The latency's distribution at these settings."""
    figure = plots.distribution(ask(workers, rate, round_trip))
    if figure is not None:
        display(Image(style.png(figure)))


if __name__ == "__main__":
    sliders = {
        "workers": ipywidgets.IntSlider(4, 1, 16, continuous_update=False),
        "rate": ipywidgets.IntSlider(300, 50, 1500, 50, continuous_update=False),
        "round_trip": ipywidgets.IntSlider(20, 1, 200, continuous_update=False, description="round trip"),
    }
    output = ipywidgets.interactive_output(look, sliders)
    display(ipywidgets.VBox([*sliders.values(), output]))

# %% [markdown]
# ## What would change the answer
#
# Everything in the text above. `workbench explain services` says what can be declared, `workbench lint` what is wrong with a
# file, and the files in `scenarios` are there to begin from.
