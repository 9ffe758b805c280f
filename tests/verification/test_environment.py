"""A report says which source it is of."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

import refimpl
import verification
from verification.environment import commit, describe, source_code

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "refimpl" / "inner").mkdir(parents=True)
    (tmp_path / "refimpl" / "inner" / "module.py").write_text("one = 1\n")
    (tmp_path / "notes.txt").write_text("a\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


@needs_git
def test_a_checkout_is_named_by_its_commit_and_changed_modules_are_told(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert commit(checkout) == head
    (checkout / "notes.txt").write_text("b\n")  # no module
    assert commit(checkout) == head
    module = checkout / "refimpl" / "inner" / "module.py"
    module.write_text("one = 2\n")
    assert commit(checkout) == f"{head}, with changes"
    module.write_text("one = 1\n")
    (checkout / "refimpl" / "new.py").touch()
    assert commit(checkout) == f"{head}, with changes"


@needs_git
def test_a_folder_within_another_checkout_is_of_no_commit(checkout: Path) -> None:
    assert commit(checkout / "refimpl") is None


@needs_git
def test_a_checkout_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) is None


def test_without_a_checkout_or_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(Path(verification.__file__).parents[1]) is None
    assert "git commit" not in describe()
    assert describe()["source code"] == source_code()


def test_the_hash_of_the_source_is_what_its_documentation_says() -> None:
    content = b""
    for package in (verification, refimpl):
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            content += path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
    assert source_code().split()[:2] == ["SHA-256", hashlib.sha256(content).hexdigest()[:12]]
