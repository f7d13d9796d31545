"""One measuring process: ``python -m workbench.bench.site``, started by the conductor and by nobody else.

It reads its plan, goes to its processors before anything is imported that starts threads, opens one end of one library,
and plays its role. It ends when the conductor does, and at the latest after the plan's lifetime.
"""

from __future__ import annotations

import os

from workbench.bench.processes import Parent


def main() -> None:
    """Play the role in the plan on standard input."""
    parent = Parent()
    try:
        from workbench.bench.roles import ROLES, Plan

        plan = Plan.of(parent.read())
        parent.live_at_most(plan.lifetime)
        if plan.cpus is not None:
            os.sched_setaffinity(0, plan.cpus)
        parent.watch()
        from workbench.bench.peers import PEERS

        # It must live on: with the last reference an end is gone, and with it what the other end has not taken yet.
        end = PEERS[plan.peer].open(plan.role)
        ROLES[plan.role](parent, end, plan)
    except Exception as error:
        parent.say("error", reason=f"{type(error).__name__}: {error}")
    parent.stay()


if __name__ == "__main__":
    main()
