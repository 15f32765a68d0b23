import hashlib
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError, ExitCode
from orchestrator.domain.model import Format
from orchestrator.domain.model_files import BuiltDataset, BuiltModel, BuiltVariant
from orchestrator.services.models.build import build_model

RECIPE = """\
import json, sys
from pathlib import Path

out = Path(sys.argv[1])
(out / "m-fp32.tflite").write_bytes(b"new fp32")
(out / "m-int8.tflite").write_bytes(b"new int8")
(out / "m-test.npz").write_bytes(b"new samples")
print("training", file=sys.stderr)
print("1/2\\r2/2", file=sys.stderr)
print("chatter on the wrong stream")
built = {
    "variants": {
        "fp32": {"file": "m-fp32.tflite", "accuracy": {"top1": 0.975}},
        "int8": {"file": "m-int8.tflite"},
        "extra": {"file": "m-extra.tflite"},
    },
    "datasets": {"m-test.npz": {"samples": 4}},
}
print(json.dumps(built))
"""

MODEL = """\
# What a build gave.
model: m
description: A model.
task: classification
recipe: recipe.py
input: {shape: [1, 8], dtype: float32, low: 0.0, high: 1.0}
datasets:
  m-test.npz: {sha256: %(dataset)s, samples: 3}
variants:
  fp32:
    file: m-fp32.tflite
    sha256: %(fp32)s
    precision: fp32
    made: "trained"   # by recipe.py
    accuracy: {top1: 0.97}
  int8:
    file: m-int8.tflite
    sha256: %(int8)s
    precision: int8
    parent: fp32
    made: "quantised"
"""

FILES = {"m-fp32.tflite": b"old fp32", "m-int8.tflite": b"old int8", "m-test.npz": b"old samples"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_text(fp32: bytes, int8: bytes, dataset: bytes) -> str:
    return MODEL % {"fp32": sha256(fp32), "int8": sha256(int8), "dataset": sha256(dataset)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "m"
    home.mkdir()
    for name, content in FILES.items():
        (home / name).write_bytes(content)
    (home / "model.yaml").write_text(model_text(*FILES.values()))
    (home / "recipe.py").write_text(RECIPE)
    return home


def ignore(_line: str) -> None:
    pass


def contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir() if path.name != "recipe.py"}


def edit_recipe(home: Path, old: str, new: str) -> None:
    assert old in RECIPE
    (home / "recipe.py").write_text(RECIPE.replace(old, new))


class TestABuildThatIsAsGoodAsDeclared:
    def test_tells_what_changed(self, home: Path) -> None:
        built = build_model(home, ignore)

        def hashes(name: str) -> tuple[str, str, str]:
            old = FILES[name]
            return str(home / name), sha256(old), sha256(old.replace(b"old", b"new"))

        assert built == BuiltModel(
            "m",
            str(home),
            (
                BuiltVariant("fp32", Format.TFLITE, *hashes("m-fp32.tflite"), {"top1": 0.97}, {"top1": 0.975}),
                BuiltVariant("int8", Format.TFLITE, *hashes("m-int8.tflite"), {}, {}),
            ),
            (BuiltDataset("m-test.npz", *hashes("m-test.npz"), 3, 4),),
        )
        assert [one.changed for one in built.variants] == [True, True]
        assert [one.changed for one in built.datasets] == [True]

    def test_replaces_the_files_and_the_values_in_model_yaml_and_nothing_else(self, home: Path) -> None:
        build_model(home, ignore)

        text = model_text(b"new fp32", b"new int8", b"new samples")
        assert contents(home) == {
            "m-fp32.tflite": b"new fp32",
            "m-int8.tflite": b"new int8",
            "m-test.npz": b"new samples",
            "model.yaml": text.replace("top1: 0.97}", "top1: 0.975}").replace("samples: 3", "samples: 4").encode(),
        }

    def test_a_second_build_changes_nothing(self, home: Path) -> None:
        build_model(home, ignore)
        before = contents(home)

        again = build_model(home, ignore)

        assert not any(one.changed for one in again.variants)
        assert not any(one.changed for one in again.datasets)
        assert contents(home) == before

    def test_passes_on_what_the_recipe_says_line_by_line(self, home: Path) -> None:
        lines: list[str] = []
        build_model(home, lines.append)

        assert lines == ["training", "1/2", "2/2"]

    def test_leaves_a_data_set_alone_that_the_recipe_does_not_make(self, home: Path) -> None:
        edit_recipe(home, '"datasets": {"m-test.npz": {"samples": 4}},', "")

        assert build_model(home, ignore).datasets == ()
        assert (home / "m-test.npz").read_bytes() == b"old samples"

    @pytest.mark.parametrize("accuracy", [0.96, 0.98])
    def test_may_be_a_little_more_or_less_accurate(self, home: Path, accuracy: float) -> None:
        edit_recipe(home, "0.975", str(accuracy))

        assert build_model(home, ignore).variants[0].new_accuracy == {"top1": accuracy}

    def test_works_when_old_files_are_missing(self, home: Path) -> None:
        (home / "m-int8.tflite").unlink()

        build_model(home, ignore)

        assert (home / "m-int8.tflite").read_bytes() == b"new int8"


class TestAVariantOfTwoFormats:
    @pytest.fixture
    def both(self, home: Path) -> Path:
        (home / "m-fp32.onnx").write_bytes(b"old onnx")
        text = (home / "model.yaml").read_text()
        short = f"    file: m-fp32.tflite\n    sha256: {sha256(b'old fp32')}\n"
        assert short in text
        (home / "model.yaml").write_text(text.replace(short, self.artifacts(b"old fp32", b"old onnx")))
        one = '{"file": "m-fp32.tflite", "accuracy": {"top1": 0.975}}'
        other = '{"file": "m-fp32.onnx", "accuracy": {"top1": 0.974}}'
        edit_recipe(home, one, f'{{"artifacts": {{"tflite": {one}, "onnx": {other}}}}}')
        recipe = (home / "recipe.py").read_text()
        made = '(out / "m-int8.tflite")'
        (home / "recipe.py").write_text(recipe.replace(made, f'(out / "m-fp32.onnx").write_bytes(b"new onnx")\n{made}'))
        return home

    def artifacts(self, tflite: bytes, onnx: bytes) -> str:
        return (
            "    artifacts:\n"
            f"      tflite: {{file: m-fp32.tflite, sha256: {sha256(tflite)}}}\n"
            f"      onnx: {{file: m-fp32.onnx, sha256: {sha256(onnx)}, made: translated}}\n"
        )

    def test_is_built_in_both_and_recorded_under_its_formats(self, both: Path) -> None:
        built = build_model(both, ignore)
        assert [(one.name, one.format, one.changed) for one in built.variants] == [
            ("fp32", Format.TFLITE, True),
            ("fp32", Format.ONNX, True),
            ("int8", Format.TFLITE, True),
        ]
        assert (both / "m-fp32.onnx").read_bytes() == b"new onnx"
        text = (both / "model.yaml").read_text()
        assert self.artifacts(b"new fp32", b"new onnx") in text
        assert "accuracy: {top1: 0.975}" in text

    def test_may_say_why_a_further_format_was_not_scored_and_the_first_may_not(self, both: Path) -> None:
        recipe = (both / "recipe.py").read_text()
        unscored = '"unscored": "no runtime of it is here"'
        (both / "recipe.py").write_text(recipe.replace('"accuracy": {"top1": 0.974}', unscored))
        said: list[str] = []
        built = build_model(both, said.append)
        assert [one.new_accuracy for one in built.variants if one.format is Format.ONNX] == [{}]
        assert "fp32 (onnx): not scored: no runtime of it is here" in said
        (both / "recipe.py").write_text(recipe.replace('"accuracy": {"top1": 0.975}', unscored))
        with pytest.raises(ConfigError, match=r"fp32 \(tflite\): the recipe did not measure top1"):
            build_model(both, ignore)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('"onnx": {"file"', '"keras": {"file"', r"fp32 \(onnx\): the recipe did not build it"),
            ("0.974", "0.9", r"fp32 \(onnx\): top1 is 0.9 now, model.yaml declares 0.97"),
            ('"onnx": {"file"', '"caffe": {"file"', "last line on standard output is not a report"),
        ],
    )
    def test_is_not_replaced_where_one_of_them_is_wrong(self, both: Path, old: str, new: str, message: str) -> None:
        recipe = (both / "recipe.py").read_text()
        assert old in recipe
        (both / "recipe.py").write_text(recipe.replace(old, new))
        before = contents(both)
        with pytest.raises(ConfigError, match=message):
            build_model(both, ignore)
        assert contents(both) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.975", "0.9594", "fp32: top1 is 0.9594 now, model.yaml declares 0.97: more than 0.01 apart"),
        ("0.975", "0.9806", "fp32: top1 is 0.9806 now"),
        ("0.975", 'float("nan")', "fp32: top1 is nan now"),
        ('"accuracy": {"top1": 0.975}', "", "fp32: the recipe did not measure top1"),
        ('"int8": {"file": "m-int8.tflite"},', "", "int8: the recipe did not build it"),
        ('"file": "m-int8.tflite"', '"file": "../x"', r"int8: the recipe calls its file \.\./x, model.yaml m-int8"),
        ('(out / "m-int8.tflite").write_bytes(b"new int8")', "", "int8: the recipe did not write m-int8.tflite"),
        ('write_bytes(b"new int8")', 'write_bytes(b"")', "int8: the recipe did not write"),
        ('write_bytes(b"new int8")', 'symlink_to("/etc/hostname")', "int8: the recipe did not write"),
        ('(out / "m-test.npz").write_bytes(b"new samples")', "", "m-test.npz: the recipe did not write it"),
        ('"file": "m-int8.tflite"', '"name": "m-int8.tflite"', "last line on standard output is not a report"),
        ("print(json.dumps(built))", "print(built)", "last line on standard output is not a report"),
        ("print(json.dumps(built))", "", "last line on standard output is not a report"),
        ("built = {", "sys.exit(3)\nbuilt = {", "ended with exit code 3: 2/2"),
        ("built = {", "import os; os.kill(os.getpid(), 9)\nbuilt = {", "was killed by signal 9"),
        ("import json, sys", "import json, sys, no_such_module", "needs no_such_module, which is not installed"),
    ],
)
def test_a_build_that_is_not_replaces_nothing(home: Path, old: str, new: str, message: str) -> None:
    before = contents(home)
    edit_recipe(home, old, new)

    with pytest.raises(ConfigError, match=message) as caught:
        build_model(home, ignore)

    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE
    assert contents(home) == before


def test_a_recipe_without_its_libraries_says_what_to_install(home: Path) -> None:
    edit_recipe(
        home, "import json, sys", "import json, sys\nraise ModuleNotFoundError(\"No module named 'tensorflow'\")"
    )

    with pytest.raises(ConfigError, match="needs tensorflow, which is not installed here") as caught:
        build_model(home, ignore)
    assert caught.value.hint == "pip install 'benchfleet[convert]'"


def test_every_complaint_is_told_at_once(home: Path) -> None:
    edit_recipe(home, '"int8": {"file": "m-int8.tflite"},', "")
    text = (home / "recipe.py").read_text().replace("0.975", "0.5")
    (home / "recipe.py").write_text(text)

    with pytest.raises(ConfigError, match=r"fp32: top1 is 0\.5 now.*\nint8: the recipe did not build it"):
        build_model(home, ignore)


def test_a_model_without_a_recipe_cannot_be_built(home: Path) -> None:
    file = home / "model.yaml"
    file.write_text(file.read_text().replace("recipe: recipe.py\n", ""))

    with pytest.raises(ConfigError, match="m has no recipe"):
        build_model(home, ignore)


def test_a_log_that_fails_ends_the_recipe(home: Path) -> None:
    edit_recipe(home, 'print("training", file=sys.stderr)', 'print("x", file=sys.stderr); import time; time.sleep(60)')

    def fail(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_model(home, fail)
    assert not list(home.glob(".build-*"))
