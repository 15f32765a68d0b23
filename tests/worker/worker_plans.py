"""Build device plans for tests."""

import json

from worker_client import sha256_of

MEASURE = {
    "warmup_runs_min": 1,
    "warmup_seconds_min": 0.0,
    "runs_min": 3,
    "seconds_min": 0.0,
    "seconds_max": 1.0,
    "runs_max": 1000,
}
OK_SCRIPT = """#!/bin/sh
echo '{"metric": "latency_ns", "samples": [11, 12, 13]}'
echo '{"done": true}'
"""


class PlanBuilder:
    """Collects jobs, trials and blobs; every part can be altered before the plan is taken."""

    def __init__(self):
        self._contents = {}
        self.plan = {
            "protocol": 1,
            "device": "test-device",
            "sweep": "test-sweep",
            "seed": 7,
            "jobs": [],
            "trials": [],
            "measure": dict(MEASURE),
            "power": {"idle_s": 0.0},
            "limits": {
                "trial_timeout_s": 20.0,
                "temperature_c_max": None,
                "memory_bytes_max": None,
                "cooldown_s_max": 0.0,
            },
            "retries": {"failed": 0, "invalid": 0},
            "blobs": [],
        }

    def add_blob(self, content, kind="file"):
        """Add a blob and return its SHA-256."""
        sha256 = sha256_of(content)
        if sha256 not in self._contents:
            self._contents[sha256] = content
            self.plan["blobs"].append({"sha256": sha256, "size": len(content), "kind": kind})
        return sha256

    def add_file(self, name, content, kind="file"):
        """Add a blob and return how a job names it."""
        return {"name": name, "sha256": self.add_blob(content, kind), "size": len(content)}

    def add_job(self, name, **fields):
        """Add a job; fields not given are those of a job of nothing."""
        job = {
            "job": name,
            "label": name,
            "variant": "fp32",
            "runtime": "exec",
            "engine": "exec",
            "module": None,
            "settings": {},
            "python_path": [],
            "command": None,
            "model": None,
            "files": [],
            "input": None,
            "dataset": None,
            "accuracy_metric": None,
        }
        job.update(fields)
        self.plan["jobs"].append(job)
        return job

    def add_program(self, name, script=OK_SCRIPT, trials=1, **fields):
        """Add a job that runs a script, and its measure trials; return the trials' names."""
        fields.setdefault("files", [self.add_file("program", script.encode())])
        fields.setdefault("command", ["./program"])
        self.add_job(name, **fields)
        return self.add_trials(name, trials)

    def add_trials(self, job, count, preflight=False):
        """Add trials of a job, a preflight first where wanted; return their names."""
        names = []
        for index in range(0 if preflight else 1, count + 1):
            kind = "preflight" if index == 0 else "measure"
            self.plan["trials"].append({"trial": f"{job}.{index}", "job": job, "kind": kind, "index": index})
            names.append(f"{job}.{index}")
        return names

    def plan_bytes(self):
        return json.dumps(self.plan, sort_keys=True, separators=(",", ":")).encode("ascii")

    def blobs(self):
        return list(self._contents.values())
