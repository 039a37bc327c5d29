"""Compare: the same photos by several methods and settings, from rows to a figure for a paper. No gradio."""
