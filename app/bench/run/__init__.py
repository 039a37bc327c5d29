"""`bench run SPEC.toml`: photos x methods x parameters x distortions, scored by a panel, as rows and as a report.

Reading order: spec.py (what is asked), sources.py, reading.py and cast.py (whose photos play which part), plan.py
(items and their keys), work.py (one item), loop.py with local.py and cluster.py (who computes it), store.py (rows
that outlive a crash), session.py (all of it together), measures.py to report.py (what it shows).
"""
