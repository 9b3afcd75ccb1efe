#!/usr/bin/env bash
# Evaluate with several processes: one per GPU, or on a machine without GPUs that many over gloo.
#
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
#
# On several machines, run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail

if [[ $# -lt 3 ]]; then
  echo "usage: $0 CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]" >&2
  exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3

exec "${PYTHON:-python}" "$(dirname "$0")/start_processes.py" \
  --nnodes="${NNODES:-1}" \
  --node-rank="${NODE_RANK:-0}" \
  --nproc-per-node="$processes" \
  --master-addr="${MASTER_ADDR:-127.0.0.1}" \
  --master-port="${PORT:-29500}" \
  "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
