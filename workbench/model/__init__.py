"""The model: what a scenario's words do, against a World.

`cast` says which hosts there are and whom they dial; `service` and `workload` are what they play, as Python behaviours
(the readable reference, and what runs in the real world); `custom` loads behaviours from local files; `measure` turns
meters into metrics.
"""
