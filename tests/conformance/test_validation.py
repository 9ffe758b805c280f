from __future__ import annotations

import copy
import json
import sys

import pytest

from refimpl.conformance.suite import by_file
from refimpl.conformance.validation import SCHEMA, validate
from refimpl.conformance.vectors import FOLDER

FILES = sorted(FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def content():
    return json.loads((FOLDER / "tanh-resnet.json").read_text(encoding="utf-8"))


def test_the_schema_is_one():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_there_is_a_file_for_every_activation_and_kind():
    assert {path.stem for path in FILES} == {f"{activation}-{kind}" for activation, kind, _ in by_file()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_valid(path):
    validate(path)


def _case(content):
    return content["cases"][0]


def _set(*place, value):
    def change(content):
        for key in place[:-1]:
            content = content[key]
        content[place[-1]] = value

    return change


def _repeat(content):
    content["cases"].append(content["cases"][0])


def _drop(*place):
    def change(content):
        for key in place[:-1]:
            content = content[key]
        del content[place[-1]]

    return change


EXPECTED = ("cases", 0, "expected")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format", value=2), r"\['format'\]: 1 was expected"),
        (_set("kind", value="limit"), "False schema does not allow"),
        (_set("cases", 0, "flags", value=["nice"]), r"\['flags'\]\[0\]: 'nice' is not valid"),
        (_set("cases", 0, "v", 0, value=0.5), "0.5 is not of type 'string'"),
        (_set("cases", 0, "v", 0, value="nan"), "does not match"),
        (_set("cases", 0, "v", 0, value="1e5"), "does not match"),
        (_set("cases", 0, "v", 0, value="0.1"), "tanh-resnet-layer: v: 0.1 is no float64 number"),
        (_set("cases", 0, "settings", "horizon", value="0.0"), "does not match"),
        (_set("cases", 0, "settings", "horizon", value="1" + "0" * 400), "horizon: 10+ is no float64 number"),
        (_drop("cases", 0, "settings", "depth"), "'depth' is a required property"),
        (_drop("cases", 0, "W"), "'W' is a required property"),
        (_drop("cases", 0, "v", 0), r"U must have the shape \(3, 3\)"),
        (_drop(*EXPECTED, "resnet_ntk", "value", 0), r"resnet_ntk must have the shape \(2, 2\)"),
        (_drop(*EXPECTED, "resnet_gradient", "value", "U", 0, 0), r"resnet_gradient U must have the shape \(4, 3\)"),
        (_drop(*EXPECTED, "resnet_predict"), "'resnet_predict' is a required property"),
        (_set(*EXPECTED, "resnet_predict", "bound", value="0"), "does not match"),
        (_set(*EXPECTED, "predict", value={}), "'predict' was unexpected"),
        (_repeat, "the id 'tanh-resnet-layer' is used twice"),
    ],
)
def test_what_is_wrong_is_named(content, change, message):
    validate(content)
    changed = copy.deepcopy(content)
    change(changed)
    with pytest.raises(ValueError, match=f"^golden vectors: .*{message}"):
        validate(changed)


def test_float32_cases_are_float32_numbers(content):
    changed = copy.deepcopy(content)
    case = next(case for case in changed["cases"] if case["dtype"] == "float32")
    case["X"][0][0] = "1.0000000000000002220446049250313080847263336181640625"
    with pytest.raises(ValueError, match="is no float32 number"):
        validate(changed)
    case["dtype"] = "float64"
    validate(changed)


@pytest.mark.parametrize(
    "text", ["", '{"format": 1', '{"format": NaN}', "[" * 100_000], ids=["empty", "cut", "nan", "deep"]
)
def test_a_file_that_is_not_json_is_named(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.json: not JSON"):
        validate(path)


def test_a_binary_file_is_named(tmp_path):
    path = tmp_path / "binary.json"
    path.write_bytes(b"\x93NUMPY\xff")
    with pytest.raises(ValueError, match=r"binary\.json: not JSON"):
        validate(path)


def test_without_jsonschema_the_extra_is_named(monkeypatch, content):
    from refimpl.conformance import validation

    validation._validator.cache_clear()
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'refimpl\[cli\]'"):
        validate(content)
