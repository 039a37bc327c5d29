"""How the demo is started: nothing shared, nothing flagged, no folder opened, no file above the limit."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest
from starlette.middleware import Middleware

from app.demo.build import launch_options

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [ROOT / "app.py", *(ROOT / "app").rglob("*.py")]
CLOSED = {
    "load",
    "Interface",
    "FileExplorer",
    "CSVLogger",
    "FlaggingCallback",
    "set_static_paths",
    "HuggingFaceDatasetSaver",
}


def test_options_open_nothing(runtime):
    with gr.Blocks() as demo:
        pass
    options = launch_options(demo, runtime)
    assert options["share"] is False and options["allowed_paths"] == [] and options["max_file_size"] == "25mb"
    assert options["show_error"] is False and options["run_history"] is False
    guards = options["app_kwargs"]["middleware"]
    assert all(isinstance(guard, Middleware) for guard in guards)
    assert [guard.cls.__name__ for guard in guards] == ["Vitals", "Visitors", "Uploads", "Asked", "Tools"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_loads_other_apps_explores_files_or_flags(source):
    tree = ast.parse(source.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gr"
    }
    assert not used & CLOSED
    given = {word.arg: word.value for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
    assert "flagging_mode" not in given and "allow_flagging" not in given
    if (analytics := given.get("analytics_enabled")) is not None:
        assert isinstance(analytics, ast.Constant) and analytics.value is False


def test_a_start_brings_along_nothing_that_only_a_job_needs():
    """torchvision, timm and their like are a second or more each, and Gradio's look at its type stubs two."""
    late = ["torchvision", "timm", "facenet_pytorch", "sqlalchemy", "matplotlib.figure", "torchmetrics", "onnx"]
    asked = (
        "import ast, inspect, os, sys; read = []\n"
        "ast.get_source_segment = lambda *given: read.append(given)\n"
        "from app.demo import build; from app.runtime import Runtime; build(Runtime('cpu'))\n"
        "assert inspect.getfile.__module__ != 'app.demo'\n"
        f"print(len(read), *(name for name in {late} if name in sys.modules))"
    )
    quiet = {**os.environ, "LARVATUS_EXAMPLE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["0"], done.stdout + done.stderr
