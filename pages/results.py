"""The result of a study."""

from app.workbench import results

results.page()
