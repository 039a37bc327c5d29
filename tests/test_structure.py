"""The dependency directions of the design, and that nothing of this machine is written down."""

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bundled import faults

ROOT = Path(__file__).resolve().parents[1]
UI = {"gradio", "streamlit"}
DEVELOPMENT = {"frbench", "onnxruntime", "playwright"}  # imported where they are there; requirements-dev.txt has them
CLUSTER = {"ray", "datasets", "accelerate"}  # likewise; requirements-cluster.txt has them

def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def sources(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"nothing in {folder}"
    return found


def test_engines_know_no_interface():
    for path in sources("engines"):
        assert not roots(path) & ({"app", "pages"} | UI), path


def test_only_the_demo_imports_gradio_and_only_the_workbench_streamlit():
    for path in sources("app"):
        inside = path.relative_to(ROOT).parts
        if "demo" not in inside:
            assert "gradio" not in roots(path), path
        if "workbench" not in inside:
            assert "streamlit" not in roots(path), path
        assert "pages" not in roots(path), path


def test_layers_below_the_demo_do_not_know_it():
    for path in sources("app"):
        if "demo" not in path.relative_to(ROOT).parts:
            assert not any(name.startswith("app.demo") for name in imports(path)), path


def test_methods_do_not_import_one_another():
    """TIP-IM is the family's head: it may use the family's base; nothing else may."""
    for path in sources("engines/methods"):
        if path.name != "__init__.py":
            others = {n for n in imports(path) if n.startswith("engines.methods.")}
            assert {n.split(".")[2] for n in others} <= {"gradient"}, path


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if isinstance(node, ast.stmt) and not typing_only and not isinstance(node, ast.FunctionDef):
            yield node
            waiting += ast.iter_child_nodes(node)


def needed(module: str, files: dict[str, Path]) -> set[str]:
    """Our modules that must have been imported before; packages that a module is inside of are only begun."""
    found = set()
    for node in at_import(ast.parse(files[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = (f"{node.module}.{name.name}" for name in node.names)
            found |= {path if path in files else node.module for path in whole}
    begun = {".".join(name.split(".")[:k]) for name in found for k in range(1, name.count(".") + 1)}
    outside = {name for name in begun if not module.startswith(f"{name}.")}
    return ((found | outside) & files.keys()) - {module}


def test_no_circle_of_imports_wherever_one_starts():
    paths = (path.relative_to(ROOT) for folder in ("app", "engines") for path in sources(folder))
    files = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): ROOT / path for path in paths}
    graphlib.TopologicalSorter({module: needed(module, files) for module in files}).prepare()


def test_gradio_pin_equals_the_space_front_matter():
    pin = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio=="))
    assert f"sdk_version: {pin.split('==')[1]}" in (ROOT / "README.md").read_text()


def test_the_lock_holds_every_pin_and_every_package_of_it_has_hashes():
    lock = (ROOT / "requirements.lock").read_text()
    name = r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?"
    locked = dict(re.findall(name + r"==([^\s;]+)(?=.* \\\n +--hash=sha256:[0-9a-f]{64})", lock, re.M))
    pins = re.findall(name + r"==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert len(pins) > 30 and len(locked) > len(pins), "dependencies of dependencies are in it"
    missing = [name for name, version in pins if locked.get(name.lower()) != version]
    assert not missing, f"requirements.lock is stale for {missing}: run make lock"
    assert len(locked) == len(re.findall(r"^[A-Za-z0-9]", lock, re.M)), "a package without a hash"


def test_every_command_is_documented():
    """The README names every command of the command line."""
    from app.__main__ import parser

    readme = (ROOT / "README.md").read_text()
    commands = next(a for a in parser()._actions if a.dest == "command").choices
    for name in commands:
        assert f"python -m app {name}" in readme, name


def test_the_readme_gives_the_registrys_figures():
    from engines.checkpoints import registry

    readme = (ROOT / "README.md").read_text()
    bundled = [c for c in registry().values() if c.source == "bundled" and c.kind == "recogniser"]
    assert len(bundled) >= 5
    for card in (registry()["sface"], registry()["dlib-resnet"], *bundled):
        figures = f"| {card.figures['lfw_accuracy']:.2%} | ".replace("%", " %")
        assert figures + f"{card.thresholds[0.01]:.3f} / {card.thresholds[0.001]:.3f} |" in readme, card.id


def test_every_bundled_network_is_whole_small_measured_and_described(monkeypatch):
    """That each fault would be seen is tested on a tampered copy, in test_weights.py."""
    monkeypatch.delenv("LARVATUS_REGISTRY", raising=False)
    assert faults() == []


def test_every_direct_import_is_pinned_in_the_requirements():
    """What engines and app import is not left to the requirements of others."""
    from importlib.metadata import packages_distributions

    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {re.split(r"\[|==", line)[0].lower().replace("_", "-") for line in lines if "==" in line}
    owners = packages_distributions()
    used = {name for folder in ("engines", "app") for path in sources(folder) for name in roots(path)}
    used -= {*sys.stdlib_module_names, "engines", "app", *DEVELOPMENT, *CLUSTER}
    missing = {n for n in used if not pinned & {owner.lower().replace("_", "-") for owner in owners.get(n, [n])}}
    assert not missing, missing
