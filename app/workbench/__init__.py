"""The study workbench in Streamlit: the only place in `app/` that imports it."""
