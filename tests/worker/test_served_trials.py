"""Whole trials of a served model, in a process of their own, against a fake server."""

import pytest

from endpoint_fakes import fake_http, job_document, stats_of, told_by_trial

pytest.importorskip("numpy")


class CountedAnswers(dict):
    """The answers of a server that counts its requests as Triton does. `told` are the counts that were asked for."""

    requests = 0

    def __init__(self, *answers):
        super().__init__(*answers)
        self.told = []

    def get(self, path, default=None):
        if path.endswith("/infer"):
            self.requests += 1
        if path.endswith("/stats"):
            self.told.append(self.requests)
            return 200, {"model_stats": [stats_of(self.requests, self.requests // 2)]}
        return super().get(path, default)


@pytest.mark.parametrize("further", [{"rate_per_s": 2000.0, "runs_max": 40}, {"p99_ns_max": 1e9}])
def test_a_trial_counts_the_requests_of_its_scenario_alone(tmp_path, further):
    paths = CountedAnswers({"/v2": (200, {}), "/v2/models/m/ready": (200, {})})
    paths["/v2/models/m"] = (200, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]})
    output = {"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}
    paths["/v2/models/m/infer"] = (200, {"outputs": [output]})
    measure = {"warmup_runs_min": 3, "warmup_seconds_min": 0.0, "runs_min": 40, "seconds_min": 0.0, "seconds_max": 2.0}
    measure.update({"runs_max": 2000, "scenario": "server"}, **further)
    with fake_http(paths) as url:
        job = job_document("kserve-v2", tmp_path, {"url": url}, settings={"connections": 8})
        lines = told_by_trial({"job": job, "kind": "measure", "seed": 1, "measure": measure})
    assert {"done": True} in lines, lines
    told = {line["metric"]: line for line in lines if "metric" in line}
    if "p99_ns_max" in further:
        assert told["server_queue_ns"]["value"] is None
        assert told["server_queue_ns"]["reason"].startswith("a search asks at many rates")
    else:
        assert told["server_queue_ns"]["value"] == 3.0
        assert told["server_batch_items"]["value"] == 2.0
        before, after = paths.told
        assert after - before == 40
