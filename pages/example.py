"""The worked example, open to everybody."""

from app.workbench import results

results.show_example()
