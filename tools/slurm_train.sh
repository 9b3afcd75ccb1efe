#!/usr/bin/env bash
# Train under Slurm, one process per GPU (or per task on machines without).
#
#   PARTITION=gpu NODES=2 GPUS_PER_NODE=8 tools/slurm_train.sh CONFIG [arguments of tools/train.py]
#
# Inside an allocation (salloc, sbatch) the partition may be left out. Further settings: JOB_NAME,
# CPUS_PER_TASK, PORT, PYTHON, and SRUN_ARGS for more arguments of srun.
set -euo pipefail

if [[ $# -lt 1 ]]; then
  echo "usage: $0 CONFIG [arguments of tools/train.py]" >&2
  exit 2
fi
if ! command -v srun > /dev/null; then
  echo "error: srun: expected Slurm on this machine, found none; use tools/dist_train.sh" >&2
  exit 2
fi

nodes=${NODES:-1}
per_node=${GPUS_PER_NODE:-8}
export MASTER_PORT=${PORT:-29500}
export SEG_TRAIN="$(cd "$(dirname "$0")" && pwd)/train.py"
export SEG_PYTHON=${PYTHON:-python}

arguments=(
  --job-name="${JOB_NAME:-rapsam}"
  --nodes="$nodes"
  --ntasks="$((nodes * per_node))"
  --ntasks-per-node="$per_node"
  --cpus-per-task="${CPUS_PER_TASK:-4}"
  --kill-on-bad-exit=1
)
[[ -n ${PARTITION:-} ]] && arguments+=(--partition="$PARTITION")
[[ ${GPUS:-auto} != 0 ]] && arguments+=(--gres="gpu:$per_node")
[[ -n ${SRUN_ARGS:-} ]] && read -r -a more <<< "$SRUN_ARGS" && arguments+=("${more[@]}")

# What torchrun would set comes from Slurm's own variables, in each task.
exec srun "${arguments[@]}" bash -c '
  if [[ -z ${MASTER_ADDR:-} ]]; then
    MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  fi
  export MASTER_ADDR RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
  exec "$SEG_PYTHON" "$SEG_TRAIN" "$@" --launcher pytorch
' slurm_train "$@"
