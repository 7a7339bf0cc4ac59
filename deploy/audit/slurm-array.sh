#!/usr/bin/env bash
# An audit in shards on a Slurm cluster, as one array, and a step that merges them when all are done:
#   deploy/audit/slurm-array.sh PLAN DATA OUT [SHARDS]
# OUT is a folder that all nodes see. Begun again with the same OUT, shards go on from their files. SOUK_SIM names the program
# (souk-sim); sbatch reads SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_ACCOUNT and the like from the environment.
set -euo pipefail
souk=${SOUK_SIM:-souk-sim}

case ${1:-} in
  # The two steps, on a node.
  --shard)
    exec "$souk" audit "$2" --data "$3" --shard "$SLURM_ARRAY_TASK_ID/$5" --out "$4/shard-$SLURM_ARRAY_TASK_ID.jsonl"
    ;;
  --merge)
    # By number: what another audit left in OUT is not taken in.
    mapfile -t files < <(seq -f "$4/shard-%.0f.jsonl" "$5")
    exec "$souk" audit "$2" --data "$3" --merge "${files[@]}" --out "$4/report"
    ;;
esac

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 64
fi
shards=${4:-8}
mkdir -p "$3"
args=("$(realpath "$1")" "$(realpath "$2")" "$(realpath "$3")" "$shards")
out=${args[2]}
array=$(sbatch --parsable --job-name=souk-audit --array="1-$shards" --cpus-per-task=2 --mem=2G --requeue \
  --output="$out/shard-%a.log" "$0" --shard "${args[@]}")
merge=$(sbatch --parsable --job-name=souk-audit-merge --dependency="afterok:${array%%;*}" --kill-on-invalid-dep=yes --mem=2G \
  --output="$out/merge.log" "$0" --merge "${args[@]}")
echo "array $array, merge $merge; the report will be $out/report.html"
