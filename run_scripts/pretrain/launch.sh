# Sourced by stage1.sh and stage2.sh: turns their variables into one fairseq-hydra-train call.

common_usage() {
    cat <<EOF
  SIZE     tiny, small, base, large or 4b (4b)
  BF16=1   bfloat16 instead of float16
  SMOKE=1  two updates of the tiny model in float32, to see that everything is in place; runs without a GPU

  Several machines: the same command on each, with
  NODES    how many (1)
  NODE_RANK, MASTER_ADDR, MASTER_PORT   this one's number, the first one's address, a free port there (29500)
  Under Slurm, one task a node: srun --ntasks-per-node=1 bash -c 'NODES=\$SLURM_NNODES NODE_RANK=\$SLURM_NODEID ... bash ...'
EOF
}

# require NAME...: the variables must be set.
require() {
    local name
    for name in "$@"; do
        [[ -n ${!name:-} ]] || { echo "$name is not set" >&2; usage >&2; exit 2; }
    done
}

# launch CONFIG OUT OVERRIDE...
launch() {
    local config=$1 out=$2 size=${SIZE:-4b}
    shift 2
    local settings=()
    if [[ ${BF16:-0} == 1 ]]; then
        settings+=(common.fp16=false common.bf16=true)
    fi
    if [[ ${SMOKE:-0} == 1 ]]; then
        size=${SIZE:-tiny}
        settings+=(common.fp16=false optimization.max_update=2 dataset.batch_size=4 dataset.num_workers=0)
    fi
    local command=(fairseq-hydra-train)
    if [[ ${NODES:-1} -gt 1 ]]; then
        require NODE_RANK MASTER_ADDR
        command=(torchrun --nnodes "$NODES" --node-rank "$NODE_RANK" --nproc-per-node gpu
            --master-addr "$MASTER_ADDR" --master-port "${MASTER_PORT:-29500}" "$(command -v fairseq-hydra-train)")
    fi
    exec "${command[@]}" --config-dir "$HERE" --config-name "$config" \
        common.user_dir="$HERE/../../user_module" task.data="$DATA" task.bpe_dir="$BPE" checkpoint.save_dir="$out" \
        model.size="$size" "${settings[@]}" "$@"
}
