"""The shipped models can be built again from their recipes, with TensorFlow itself."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestrator.services.models.build import ACCURACY_TOLERANCE, build_model
from orchestrator.services.models.verify import verify_models
from orchestrator.specs.model import load_model

MODELS = Path(__file__).parents[2] / "models"

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not all(find_spec(name) for name in ("tensorflow", "sklearn")),
        reason="recipes need TensorFlow and scikit-learn: pip install 'benchfleet[convert]'",
    ),
]


@pytest.mark.parametrize("name", ["digits", "mobilenet"])
def test_a_shipped_model_is_built_again_as_accurate_as_it_was(name: str, tmp_path: Path) -> None:
    home = tmp_path / name
    shutil.copytree(MODELS / name, home)
    before = load_model(home)

    built = build_model(home, lambda _line: None)

    assert {one.name for one in built.variants} == set(before.variants)
    for one in built.variants:
        # PyTorch, with gigabytes, is no tool of the recipe: tests/worker/test_torch.py scores that file.
        if one.format == "torch":
            assert not one.new_accuracy
            continue
        assert one.new_accuracy == pytest.approx(one.old_accuracy, abs=ACCURACY_TOLERANCE)
    assert all(check.ok for check in verify_models([load_model(home)]))
    assert sorted(path.name for path in home.iterdir()) == sorted(path.name for path in (MODELS / name).iterdir())
