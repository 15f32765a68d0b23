"""What the worker may import: the standard library and itself, since a device has nothing else."""

import ast
import os
import subprocess
import sys

import pytest

from worker_client import package_files

STDLIB = getattr(sys, "stdlib_module_names", None)
IN_TRIALS_ONLY = {"numpy"}
MODULES = [(path, name) for path, name in package_files()]


def imports_of(tree):
    """Yield (root of the module, whether it is imported inside a function)."""
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update(id(child) for child in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield node.module.partition(".")[0], id(node) in inside


@pytest.mark.skipif(STDLIB is None, reason="only Python 3.10 and later list their own modules")
@pytest.mark.parametrize(("path", "name"), MODULES, ids=[name for _, name in MODULES])
def test_a_module_imports_the_standard_library_and_the_worker(path, name):
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for root, is_inside_a_function in imports_of(tree):
        allowed = root in STDLIB or root == "device_worker" or (is_inside_a_function and root in IN_TRIALS_ONLY)
        assert allowed, f"{name} imports {root}"


@pytest.mark.parametrize("name", [name for _, name in MODULES if "protocol" in name])
def test_the_protocol_is_an_island(name):
    with open(next(path for path, module in MODULES if module == name), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("device_worker"):
            assert node.module.startswith("device_worker.protocol")


def _imported_of(module, heavy):
    """Return which of the heavy modules a fresh interpreter imports with one of ours."""
    code = (
        f"import sys; before = set(sys.modules); import {module};"
        f"print(sorted((set(sys.modules) - before) & set({heavy!r})))"
    )
    root = os.path.dirname(os.path.dirname(MODULES[0][0]))
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, check=True, env={"PYTHONPATH": root}
    )
    return done.stdout.decode().strip()


@pytest.mark.parametrize("module", ["conversation", "facts"])
def test_a_start_imports_nothing_heavy(module):
    heavy = ["typing", "dataclasses", "subprocess", "tempfile", "platform", "hashlib", "zipfile", "inspect", "ctypes"]
    heavy.append("signal")  # builds enums
    assert _imported_of(f"device_worker.serving.{module}", heavy) == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "protocol.plan",
        "protocol.start",
        "protocol.specification",
        "state.cache",
        "state.bundle_room",
        "state.bundles",
        "serving.facts",
        "system.detachment",
        "runner.start",
        "runner.runner_process",
        "runner.runner",
        "runner.attempt",
    ],
)
def test_what_every_run_needs_imports_nothing_that_few_runs_need(module):
    heavy = ["zipfile", "shutil", "urllib.parse", "typing", "dataclasses", "logging", "tempfile", "hashlib"]
    if sys.version_info >= (3, 8):  # before, threading needs it
        heavy.append("traceback")
    assert _imported_of(f"device_worker.{module}", heavy) == "[]"


def test_the_program_says_its_version_and_its_usage():
    program = next(path for path, name in MODULES if name.endswith("__main__.py"))
    done = subprocess.run([sys.executable, "-I", program, "version"], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"benchfleet device worker, protocol 1\n"
    wrong = subprocess.run([sys.executable, "-I", program, "dance"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert wrong.stderr.startswith(b"usage: ")
