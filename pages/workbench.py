"""The study workbench: `python -m streamlit run pages/workbench.py`."""

import streamlit as st

from app.study.strings import text
from app.workbench import home, rating
from app.workbench.state import parameter

study = parameter("study")
st.set_page_config(page_title=text("page") if study else "Larvatus study workbench", layout="wide")
st.html("<style>.block-container { padding-top: 4rem; max-width: 1180px; }</style>")
if study:
    st.navigation([st.Page(lambda: rating.page(study), title=text("page"), url_path="rate")], position="hidden").run()
else:
    pages = [
        st.Page(home.page, title="Start", default=True),
        st.Page("design.py", title="Design"),
        st.Page("results.py", title="Results"),
        st.Page("example.py", title="Example"),
    ]
    st.navigation(pages, position="top").run()
