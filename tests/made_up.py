"""Made-up statements, and what a run of them left on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from verification import __main__ as command

FAKE = r"""
from verification import Claim, Result, Table, Verdict, compare
from verification.style import guide, loglog, new_figure, series

ID = {id!r}
TITLE = "A made-up statement for $n \\to \\infty$"
CLAIM = r"If $a<b$ & more, then $\left\| \boldsymbol{{W}} \right\| \le C L^{{-1}}$."


def run(config):
    {before}
    value = config.rng("value").uniform(1.0, 2.0)
    sizes = [8, 16, 32]
    figure, (axes,) = new_figure()
    loglog(axes, "depth $L$", "error", xticks=sizes)
    series(axes, sizes, [value / size for size in config.progress(sizes, "depth")], label="measured")
    guide(axes, sizes, slope=-1, through=(8, value / 8), label="$L^{{-1}}$")
    return Result(
        claims=[Claim("a", "The value is $v$.", {verdict}, value, "$v<2$", 0.01, scope="For $T < 2$ only.",
                      origin="paper"),
                Claim("b", "It is bounded.", Verdict.HOLDS, 1, float("inf"))],
        agreements=[compare("$v$", {{"first": value, "second": value + {apart}}}, allowed=1e-3, because="rounding")],
        experiment=r"Drawing $v$ & looking.", size={{"n": 4, "L": sizes, "full": str(config.full)}}, figure=figure,
        alt='A line "falling" & more.', caption="Below $x<1$.", tables=[Table("Values", ["$L$", "v"], [(8, value)])],
    )
"""


def fake(id: str, *, verdict: str = "Verdict.HOLDS", apart: float = 0.0, before: str = "pass") -> str:
    return FAKE.format(id=id, verdict=verdict, apart=apart, before=before)


def write_package(folder: Path, **sources: str) -> str:
    """A package of statement modules from their `sources`, by id, in `folder`; its name."""
    name = f"fake_{re.sub(r'[^a-z0-9_]', '_', folder.name)}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    for id, source in sources.items():
        (folder / name / f"{id}.py").write_text(source, encoding="utf-8")
    return name


def verify(arguments: list[str], **options: Any) -> int:
    """The command, which runs statements in this process unless it is told otherwise here."""
    return command.main(["--jobs", "1", *arguments], **options)


def read(out: Path) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        raise AssertionError(f"not JSON: {constant}")

    found: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"), parse_constant=refuse)
    return found


def verdicts(out: Path) -> dict[str, str]:
    return {statement["id"]: statement["verdict"] for statement in read(out)["statements"]}


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
