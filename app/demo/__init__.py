"""The Gradio demo: the only package that imports gradio."""

from app.demo.build import build, launch_options

__all__ = ["build", "launch_options"]
