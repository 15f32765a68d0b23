"""Say for every page which test executes its commands, and for single commands which other test does, and why.

`tests/contract/test_page_commands.py` holds this against the pages and the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

_USERS = "system/test_pages_for_users.py"

FOLLOWED = {
    "../README": f"{_USERS}::test_the_readme_and_the_pages_about_results",
    "exec": "system/test_questions.py::test_programs_of_ones_own_run_as_their_page_says",
    "export": f"{_USERS}::test_what_the_numbers_mean",
    "first-board": f"{_USERS}::test_the_first_board",
    "measuring": f"{_USERS}::test_the_readme_and_the_pages_about_results",
    "metrics": f"{_USERS}::test_what_the_numbers_mean",
    "nightly": "system/test_nightly_document.py::test_the_page_leads_from_the_first_night_to_the_first_regression",
    "numbers": f"{_USERS}::test_what_the_numbers_mean",
    "operations": f"{_USERS}::test_operations",
    "own-model": "system/test_own_models.py::test_every_command_of_the_page_works_in_a_folder_with_the_files",
    "postgresql": f"{_USERS}::test_postgresql_and_operations",
    "questions": "system/test_questions.py::test_every_command_of_the_page_is_asked_by_a_test",
    "queue": f"{_USERS}::test_the_queue",
    "replay": f"{_USERS}::test_the_readme_and_the_pages_about_results",
    "schedule": f"{_USERS}::test_the_queue",
    "serve": f"{_USERS}::test_the_readme_and_the_pages_about_results",
    "shelf": f"{_USERS}::test_a_shelf_of_boards",
    "sweeps": f"{_USERS}::test_what_the_numbers_mean",
    "sql-cookbook": f"{_USERS}::test_the_door_of_the_cookbook_opens",
}
"""By page, from `docs` on: the test that executes the page's commands in their order."""


@dataclass(frozen=True)
class Elsewhere:
    """The test that executes a command in the place of the page's own test, or None, and the reason."""

    test: str | None
    why: str


_OWN_MODEL = Elsewhere(FOLLOWED["own-model"], "docs/own-model.md has the command")
_WHEEL = Elsewhere(
    "system/test_package.py::test_a_new_lab_measures_and_compares_on_sqlite", "the wheel in an environment of its own"
)
_BUNDLE = Elsewhere(
    "system/test_replay.py::test_a_cell_runs_on_another_controller_with_the_same_settings_and_bytes",
    "a bundle is for another controller",
)

ELSEWHERE: dict[str, dict[str, Elsewhere]] = {
    "../README": {
        "make demo": Elsewhere(
            "system/test_demo.py::test_the_demo_measures_four_variants_and_compares_them", "by the script of the demo"
        ),
        "make test": Elsewhere(None, "this suite: continuous integration calls it"),
        "python3 -m venv ~/benchfleet && . ~/benchfleet/bin/activate": _WHEEL,
        "pip install .": _WHEEL,
        "benchfleet init lab && cd lab": Elsewhere(FOLLOWED["first-board"], "the lab is one that `init` wrote"),
        "benchfleet run face.tflite": _OWN_MODEL,
        "benchfleet run face.tflite face-int8.tflite --threads 1,2 --trials 10": _OWN_MODEL,
        "benchfleet devices enroll pi-03": Elsewhere(FOLLOWED["first-board"], "once is enough for a lab"),
        "benchfleet bisect 12 --candidates builds.txt": Elsewhere(FOLLOWED["nightly"], "a regression is wanted"),
        "benchfleet daemon": Elsewhere(FOLLOWED["queue"], "with --drain, which ends"),
        "benchfleet nightly run nightly.yaml": Elsewhere(FOLLOWED["nightly"], "a night has a lab of its own"),
        "benchfleet nightly show last --html night.html": Elsewhere(FOLLOWED["nightly"], "a night is wanted"),
    },
    "exec": {
        "benchfleet run sweeps/bindings.yaml": Elsewhere(FOLLOWED["questions"], "docs/questions.md has the command")
    },
    "nightly": {
        "systemctl --user enable --now benchfleet-nightly.timer": Elsewhere(
            "system/test_nightly_document.py::test_the_units_of_systemd_are_well_formed", "a person's systemd is wanted"
        ),
    },
    "replay": {"tar xf int8.tar": _BUNDLE, "sh int8/run.sh": _BUNDLE, "sh int8/run.sh --select pi-07": _BUNDLE},
    "measuring": {
        "benchfleet power import last recording.csv --device pi-03 --name joulescope --accuracy 0.5": Elsewhere(
            "system/test_metered_runs.py::test_a_recording_of_another_tool_is_joined_afterwards_and_again",
            "a recording of the run's own time is wanted",
        ),
    },
    "scale": {
        "python -m benchmarks fleet": Elsewhere(
            "system/test_fleet.py::test_the_command_says_that_the_run_is_incomplete", "the fleet is smaller there"
        )
    },
    "serve": {
        "pip install 'benchfleet[web]'": Elsewhere(
            "system/test_package.py::test_the_page_is_served_by_the_wheel_with_its_extra", "the extra is there"
        ),
        "benchfleet serve": Elsewhere(FOLLOWED["../README"], "the README has it, too"),
        "benchfleet serve --db postgresql://lab@db.example/benchfleet": Elsewhere(
            "system/test_pages_seen.py::test_hostile_text_is_shown_as_text", "both kinds of database are served there"
        ),
    },
}
"""By page: commands that the page's own test leaves out."""
