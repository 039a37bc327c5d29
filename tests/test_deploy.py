"""What is deployed: a lock with hashes for all that is required, a container without root, headers."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]+\])?==([^\s;\\]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """The versions of a file of requirements, by the package's normalised name."""
    found = PIN.findall((ROOT / name).read_text())
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_the_lock_holds_what_is_required_and_a_hash_of_everything():
    locked, asked = pins("requirements.lock"), pins("requirements.txt")
    assert asked and {name: locked.get(name) for name in asked} == asked
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text().strip())
    assert len(blocks) == len(locked) > 50
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_the_container_is_nobodys_and_installs_by_hashes():
    lines = (ROOT / "Containerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1] not in ("root", "0")
    after = lines[lines.index(f"USER {users[-1]}") :]
    assert not [line for line in after if line.startswith(("RUN", "COPY", "ADD"))], "nothing is written as nobody"
    assert any("--require-hashes -r requirements.lock" in line for line in lines)
    copied = {path for line in lines if line.startswith("COPY ") for path in line.split()[1:-1]}
    assert all((ROOT / path).exists() for path in copied)
    assert {"app", "engines", "weights", "app.py"} <= copied
    assert "--read-only --tmpfs /tmp --cap-drop ALL" in (ROOT / "docs" / "deploy.md").read_text()


def test_the_proxy_says_for_the_workbench_what_the_demo_says_itself():
    text = (ROOT / "docs" / "nginx.conf").read_text()
    studies = text.split("location /studies {")[1].split("\n    }")[0]
    said = re.findall(r"add_header (\S+)", studies)
    assert {"Strict-Transport-Security", "X-Content-Type-Options", "Referrer-Policy"} <= set(said)
    assert {"Content-Security-Policy", "Permissions-Policy"} <= set(said) and studies.count(" always;") == len(said)
    assert "access_log off" in text
