"""User studies of visual naturalness: what a study is, how its trials are planned, how its answers are kept.

No interface and no torch of its own. `store.Store` is the way in; `votes` hands the answers to the statistics.
"""
