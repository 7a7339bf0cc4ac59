"""An audit in shards on a Ray cluster, then the merge: ray_launcher.py PLAN DATA OUT SHARDS. All nodes see the three paths."""
import os, subprocess, sys
import ray

SOUK = os.environ.get("SOUK_SIM", "souk-sim")

@ray.remote(num_cpus=2, max_retries=3)
def shard(plan, data, out, i, n):
    subprocess.run([SOUK, "audit", plan, "--data", data, "--shard", f"{i}/{n}", "--out", f"{out}/shard-{i}.jsonl"], check=True)
    return f"{out}/shard-{i}.jsonl"

plan, data, out, n = *map(os.path.abspath, sys.argv[1:4]), int(sys.argv[4])
ray.init()
files = ray.get([shard.remote(plan, data, out, i, n) for i in range(1, n + 1)])
subprocess.run([SOUK, "audit", plan, "--data", data, "--merge", *files, "--out", f"{out}/report"], check=True)
