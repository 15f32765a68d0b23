"""Operators out of a runtime's trace: own times, bounds, and what is no trace."""

import json

import pytest

from device_worker.protocol.limits import OPERATORS_MAX
from device_worker.runner.report_limits import check_profile
from device_worker.trial import profile as subject
from device_worker.trial.profile import Operator, Profile, ProfileUnavailable, own_times_ns, read_chrome_trace
from device_worker.trial.runtimes.onnxruntime import read_kernels


def event(name, ts, dur, cat="Node", tid=1, **told):
    return {"cat": cat, "name": name, "ts": ts, "dur": dur, "tid": tid, "ph": "X", "args": told}


def kernel(name, ts, dur, op="Conv", provider="CPUExecutionProvider"):
    return event(f"{name}_kernel_time", ts, dur, op_name=op, provider=provider)


def run(ts, dur=100):
    return event("model_run", ts, dur, cat="Session")


def operator(name, calls, total_ns):
    made = Operator("Conv", name, "CPU")
    made.calls, made.total_ns = calls, total_ns
    return made


def times_of(profile):
    return {(one.operator, one.name, one.placed_on): (one.calls, one.total_ns) for one in profile.operators}


def test_kernels_of_the_inferences_after_the_warmup_are_summed_by_node():
    events = [event("session_initialization", 0, 900, cat="Session")]
    for start in (1000, 2000, 3000):
        events += [run(start), kernel("c1", start + 5, start // 100), event("c1_fence_before", start + 4, 1)]
        events += [kernel("d1", start + 50, 2, op="Gemm")]
    profile = read_kernels(events, warmup=1)
    assert profile.runs == 2
    assert times_of(profile) == {
        ("Conv", "c1", "CPUExecutionProvider"): (2, 50000),
        ("Gemm", "d1", "CPUExecutionProvider"): (2, 4000),
    }


def test_an_operator_with_a_body_keeps_its_own_time_alone():
    events = [run(0), kernel("branch", 10, 50, op="If"), kernel("inside", 20, 30), kernel("after", 60, 5)]
    assert {name: own for (_, name, _), (_, own) in times_of(read_kernels(events, 0)).items()} == {
        "branch": 20000,
        "inside": 30000,
        "after": 5000,
    }


@pytest.mark.parametrize("duration", [10**400, float("inf"), float("nan"), -5, "long", None])
def test_a_duration_that_no_clock_says_is_none(duration):
    assert times_of(read_kernels([run(0), kernel("c1", 1, duration)], 0)) == {
        ("Conv", "c1", "CPUExecutionProvider"): (1, 0)
    }


def test_events_of_another_thread_are_inside_nothing():
    outer, other = kernel("outer", 10, 50), dict(kernel("other", 20, 30), tid=2)
    assert [own for _, own in own_times_ns([outer, other])] == [50000, 30000]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "no inference"),
        ([run(0)], "names no kernel"),
        ([run(100), kernel("early", 1, 1)], "names no kernel"),
        ([kernel("c1", 1, 1)], "no inference"),
        ([dict(run(0), ts="soon"), kernel("c1", 1, 1)], "no inference"),
        ([dict(run(0), ts=10**400), kernel("c1", 1, 1)], "no inference"),
        ([dict(run(0), ts=float("nan")), kernel("c1", 1, 1)], "no inference"),
        ([run(0), kernel("c1", True, 1)], "names no kernel"),
    ],
)
def test_a_trace_without_kernels_is_no_profile(events, words):
    with pytest.raises(ProfileUnavailable, match=words):
        read_kernels(events, 0)


@pytest.mark.parametrize("content", ["", "{}", "[1,", "no trace", "[" * 100000])
def test_what_is_no_trace_is_said(tmp_path, content):
    path = tmp_path / "trace.json"
    path.write_text(content)
    with pytest.raises(ProfileUnavailable):
        read_chrome_trace(str(path))


def test_a_trace_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "trace.json"
    path.write_text(json.dumps([run(0)]))
    monkeypatch.setattr(subject, "TRACE_BYTES_MAX", 10)
    with pytest.raises(ProfileUnavailable, match="more than 10"):
        read_chrome_trace(str(path))


def test_shares_add_up_with_the_largest_first():
    said = Profile([operator("a", 2, 100), operator("b", 4, 300)], 2).to_json()
    check_profile(said)
    assert [(one["name"], one["calls"], one["mean_ns"], one["share"]) for one in said["operators"]] == [
        ("b", 4, 75.0, 0.75),
        ("a", 2, 50.0, 0.25),
    ]


def test_a_model_of_very_many_operators_has_the_small_ones_in_one_line():
    said = Profile([operator(f"n{number}", 1, number) for number in range(OPERATORS_MAX + 50)], 1).to_json()
    check_profile(said)
    assert len(said["operators"]) == OPERATORS_MAX
    assert said["operators"][-1]["name"] == "51 of small shares"
    assert sum(one["share"] for one in said["operators"]) == pytest.approx(1)


def test_names_out_of_a_model_are_made_fit_to_be_kept():
    made = Operator("", "a\x1b[2J\n" + "b" * 500, None)
    assert (made.operator, made.name[:6], len(made.name)) == ("(no name)", "a?[2J?", 200)


def test_times_below_the_clocks_step_have_no_share():
    said = Profile([operator("a", 3, 0)], 3).to_json()
    check_profile(said)
    assert said["operators"][0]["share"] == 0
