"""A child process for the tests: does what its job says. Started with ``python -m``, like a site."""

from __future__ import annotations

import os
import signal
import sys
import time

from workbench.bench.processes import Parent

parent = Parent()
job = parent.read()
parent.live_at_most(job.get("lifetime", 30))
parent.watch()
match job["do"]:
    case "echo":
        print("this goes to standard error")
        parent.say("heard", text=parent.hear("text")["text"])
    case "fail":
        parent.say("error", reason="no reason is good enough")
    case "crash":
        sys.exit("everything is on fire")
    case "die":
        os.kill(os.getpid(), signal.SIGKILL)
    case "babble":
        os.write(parent._out.fileno(), b"not json\n")
    case "spin":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        parent.say("spinning")
        while True:
            time.sleep(0.01)
parent.stay()
