#!/usr/bin/env bash
#SBATCH --job-name=one-peace
#SBATCH --output=slurm-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Any script of run_scripts under Slurm, one task a GPU; a job that is queued again resumes.
#
#   sbatch --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 --cpus-per-task=8 run_scripts/slurm/job.sh \
#     run_scripts/vqa/finetune.sh [what the script takes]
#
# Variables of the script (DATA, BPE, ...) are exported before, or given by sbatch --export=ALL,DATA=...
set -euo pipefail

usage() {
    sed -n '/^# Any/,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

if [[ $# -eq 0 || $1 == --help || $1 == -h ]]; then
    usage
    exit $(($# == 0 ? 2 : 0))
fi
if [[ ! -f $1 ]]; then
    echo "no script $1 in $PWD: submit from the folder that its path starts from" >&2
    exit 2
fi
if [[ -z ${SLURM_JOB_ID:-} ]]; then
    echo "this is a job: sbatch ${BASH_SOURCE[0]} $*" >&2
    exit 2
fi

tasks=${SLURM_NTASKS:-1}
gpus=$((${SLURM_GPUS_ON_NODE:-0} * ${SLURM_JOB_NUM_NODES:-1}))
if [[ $tasks -gt 1 && $gpus -gt 0 && $gpus -ne $tasks ]]; then
    echo "$tasks tasks for $gpus GPUs: ask for as many --ntasks-per-node as --gpus-per-node" >&2
    exit 2
fi
if [[ -z ${CPU:-} && $gpus -eq 0 ]] && ! nvidia-smi -L >/dev/null 2>&1; then
    export CPU=1
fi
if [[ $tasks -gt 1 ]]; then
    machines=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
    export INIT=tcp://${machines%%$'\n'*}:$((20000 + SLURM_JOB_ID % 20000))
fi
# -K: a dead task ends the others, which would wait for it. Tasks that see one GPU each call it 0.
srun -K --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" bash -c '
    visible=(${CUDA_VISIBLE_DEVICES//,/ })
    export RANKS=$SLURM_NTASKS RANK=$SLURM_PROCID
    export LOCAL_RANK=$((${#visible[@]} ? SLURM_LOCALID % ${#visible[@]} : SLURM_LOCALID))
    exec bash "$@"
' "$1" "$@"
