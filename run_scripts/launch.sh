# Sourced by every script of the recipes: turns their variables into one call of fairseq or of one_peace.data.prepare.
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HERE=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd) # the folder of the script that sources this
USER_DIR=$(dirname "$SCRIPTS")/user_module
BENCHMARK=$(basename "$HERE")
OUTPUTS=outputs
if [[ ${SMOKE:-0} == 1 ]]; then # no real run may go on from its checkpoints
    OUTPUTS=outputs/smoke
fi
if [[ ${CPU:-0} == 1 ]]; then # fairseq starts a process for each GPU it sees, whatever it computes on
    export CUDA_VISIBLE_DEVICES=
    # Before version 2.39 glibc keeps the few bytes between two freed tensors for small objects, which then split the heap.
    export GLIBC_TUNABLES=${GLIBC_TUNABLES-glibc.malloc.tcache_count=0}
fi

# usage_if_asked ARGUMENT...: prints `usage`, which every script defines, and ends if --help is among the arguments.
usage_if_asked() {
    local argument
    for argument in "$@"; do
        if [[ $argument == --help || $argument == -h ]]; then
            usage
            exit
        fi
    done
}

training_usage() {
    cat <<EOF
  SIZE        tiny, small, base, large or 4b (4b)
  BF16=1      bfloat16 instead of float16
  SMOKE=1     two updates of the tiny model in float32, from nothing, to see that everything is in place; runs without a GPU,
              below outputs/smoke unless OUT is given
$(processes_usage)

  Several machines without Slurm: the same command on each, with
  NODES       how many there are (1)
  NODE_RANK, MASTER_ADDR, MASTER_PORT   this one's number, the first one's address, a free port there (29500)
EOF
}

processes_usage() {
    cat <<EOF
  CPU=1       leave GPUs alone
  PROCESSES   with CPU=1, how many train together (1); dataset.batch_size is each one's
  RANKS, RANK, LOCAL_RANK, INIT   where each process is started for itself, as run_scripts/slurm/job.sh does: how many there
              are, this one's number, its GPU, and where they meet, such as tcp://first:29500
EOF
}

# vocabulary_usage NEEDED: the line about BPE, after a line break, if it is needed.
vocabulary_usage() {
    [[ $1 != *BPE* ]] || printf '\n  BPE         %s' "vocabulary: encoder.json, vocab.bpe, dict.txt, or sentencepiece.model, dict.txt; required"
}

# refuse MESSAGE: what was asked for cannot be done.
refuse() {
    echo "$1" >&2
    exit 2
}

# require NAME...: the variables must be set, and what they name must be there.
require() {
    local name value
    for name in "$@"; do
        value=${!name:-}
        [[ -n $value ]] || refuse "$name is not set; --help tells what it is"
        case $name in
            DATA) [[ -d $value ]] || refuse "DATA is $value, but there is no such folder" ;;
            BPE) [[ -f $value/dict.txt ]] || refuse "BPE is $value, but that is no folder with a vocabulary (dict.txt)" ;;
            PRETRAINED | STAGE1 | CHECKPOINT) [[ -f $value ]] || refuse "$name is $value, but there is no such file" ;;
        esac
    done
}

# one_of NAME VALUE...: the variable must be one of the values.
one_of() {
    local name=$1
    shift
    [[ " $* " == *" ${!name} "* ]] || refuse "$name is ${!name}, expected one of: $*"
}

# installed PROGRAM: it must be on the path.
installed() {
    command -v "$1" >/dev/null || refuse "there is no $1: activate the environment that has it (source .venv/bin/activate)"
}

# hydra_text VALUE: as an override takes it: quoted, unless it can be nothing but a plain path.
hydra_text() {
    if [[ $1 =~ ^[A-Za-z_/][A-Za-z0-9_./+-]*$ && ! $1 =~ ^(true|false|null|nan|inf)$ ]]; then
        printf '%s' "$1"
    else # a backslash counts as such, but before a quote
        printf "'%s'" "$(sed -E -e "s/(\\\\*)'/\1\1\\\\'/g" -e 's/(\\*)$/\1\1/' <<<"$1")"
    fi
}

# train FOLDER CONFIG OUT OVERRIDE...: one run of fairseq-hydra-train.
train() {
    local folder=$1 config=$2 out=$3
    local SIZE=${SIZE:-$([[ ${SMOKE:-0} == 1 ]] && echo tiny || echo 4b)}
    shift 3
    one_of SIZE tiny small base large 4b
    installed fairseq-hydra-train
    local settings=()
    if [[ ${BF16:-0} == 1 ]]; then
        settings+=(common.fp16=false common.bf16=true)
    fi
    if [[ ${SMOKE:-0} == 1 ]]; then
        settings+=(common.fp16=false optimization.max_update=2 dataset.batch_size=4 dataset.num_workers=0
            'optimization.update_freq=[1]' ++optimization.skip_remainder_batch=false ++dataset.max_valid_steps=1) # two batches
    fi
    if [[ ${CPU:-0} == 1 ]]; then
        settings+=(++common.cpu=true ++distributed_training.distributed_backend=gloo)
    fi
    local command=(fairseq-hydra-train)
    local process=()
    if [[ ${CPU:-0} == 1 && ${NODES:-1} -gt 1 ]]; then
        refuse "NODES starts a process for each GPU: with CPU=1 start each process for itself, with RANKS, RANK and INIT"
    fi
    if [[ ${RANKS:-1} -gt 1 ]]; then
        require RANK INIT
        process=(world_size="$RANKS" rank="$RANK" init_method="'$INIT'" no_spawn=true)
        settings+=(++distributed_training.device_id="${LOCAL_RANK:-0}")
    elif [[ ${CPU:-0} == 1 && ${PROCESSES:-1} -gt 1 ]]; then
        process=(world_size="$PROCESSES" rank="'\${oc.decode:\${oc.env:RANK}}'" init_method="'env://'" no_spawn=true)
        command=(torchrun --standalone --nproc-per-node "$PROCESSES" "$(command -v fairseq-hydra-train)")
    elif [[ ${NODES:-1} -gt 1 ]]; then
        require NODE_RANK MASTER_ADDR
        process=(world_size="$NODES") # at least; with one GPU each, fairseq would not ask torchrun how many there are
        command=(torchrun --nnodes "$NODES" --node-rank "$NODE_RANK" --nproc-per-node gpu
            --master-addr "$MASTER_ADDR" --master-port "${MASTER_PORT:-29500}" "$(command -v fairseq-hydra-train)")
    fi
    settings+=("${process[@]/#/++distributed_training.distributed_}")
    exec "${command[@]}" --config-dir "$folder" --config-name "$config" \
        common.user_dir="$(hydra_text "$USER_DIR")" task.data="$(hydra_text "$DATA")" \
        checkpoint.save_dir="$(hydra_text "$out")" model.size="$SIZE" "${settings[@]}" "$@"
}

# finetune NEEDED CONFIG ARGUMENT...: a benchmark's finetune.sh. NEEDED are the variables it must have besides DATA, CONFIG
# is a yaml of its folder.
finetune() {
    local needed=$1 config=$2
    shift 2
    usage() {
        cat <<EOF
usage: [VARIABLE=value ...] bash finetune.sh [hydra overrides ...]

Fine-tunes on $TITLE. The recipe is $BENCHMARK/$config.yaml on top of finetune.yaml.

  DATA        folder that prepare.sh wrote; required$(vocabulary_usage "$needed")
  PRETRAINED  checkpoint to start from, such as the released one-peace.pt, or none: required, and not used with SMOKE=1
  OUT         where checkpoints and logs go ($OUT); the same command again resumes
${MORE_USAGE:+$MORE_USAGE
}$(training_usage)

  eight GPUs      DATA=... PRETRAINED=one-peace.pt bash finetune.sh
  other settings  ... bash finetune.sh dataset.batch_size=4 'optimization.update_freq=[4]'
EOF
    }
    usage_if_asked "$@"
    # shellcheck disable=SC2086
    require DATA $needed
    local settings=()
    [[ -z ${BPE:-} ]] || settings+=(++task.bpe_dir="$(hydra_text "$BPE")")
    if [[ ${PRETRAINED:-} != none && ${SMOKE:-0} != 1 ]]; then
        require PRETRAINED
        settings+=(checkpoint.finetune_from_model="$(hydra_text "$PRETRAINED")")
    fi
    train "$SCRIPTS" finetune "$OUT" "+$BENCHMARK=$config" "${settings[@]}" "$@"
}

# evaluate NEEDED SPLITS TASK FLAG...: a benchmark's evaluate.sh; SPLITS is what it has at most.
evaluate() {
    local needed=$1 splits=$2 task=$3 split
    shift 3
    usage() {
        cat <<EOF
usage: [VARIABLE=value ...] bash evaluate.sh [flags of fairseq-validate and of the task ...]

Evaluates a checkpoint on $TITLE.

  DATA        folder that prepare.sh wrote; required$(vocabulary_usage "$needed")
  CHECKPOINT  ${CHECKPOINT_USAGE:-one of finetune.sh or a released fine-tuned one} ($CHECKPOINT)
  RESULTS     where metrics and predictions go ($RESULTS)
  SPLITS      which manifests of DATA ("$splits", those that are there)
  BATCH       items at a time ($BATCH)
  GPUS        how many of this machine's share the work (1)
${MORE_USAGE:+$MORE_USAGE
}$(processes_usage)
EOF
    }
    usage_if_asked "$@"
    # shellcheck disable=SC2086
    require DATA $needed CHECKPOINT
    installed fairseq-validate
    if [[ -z ${SPLITS:-} ]]; then
        for split in $splits; do
            [[ ! -f $DATA/$split.tsv ]] || SPLITS+=${SPLITS:+ }$split
        done
        [[ -n ${SPLITS:-} ]] || refuse "$DATA has none of $splits: run prepare.sh"
    fi
    [[ $needed != *BPE* ]] || set -- --bpe-dir "$BPE" "$@"
    if [[ ${WITH_LABELS:-0} == 1 && -f $DATA/labels.txt ]]; then # released manifests have none beside them
        set -- --label-file "$DATA/labels.txt" "$@"
    fi
    if [[ ${WITH_CANDIDATES:-0} == 1 ]]; then # each split has its own
        for split in $SPLITS; do
            validate "$split" "$task" --candidates "$DATA/$split.json" "$@"
        done
    else
        validate "${SPLITS// /,}" "$task" "$@"
    fi
}

# validate SPLITS TASK FLAG...: one run of fairseq-validate.
validate() {
    local splits=$1 task=$2 logs=(--all-gather-list-size 16777216) # of all batches, which travel at once
    local command=(fairseq-validate)
    shift 2
    if [[ ${RANKS:-1} -gt 1 && ${CPU:-0} == 1 ]]; then # fairseq-validate collects what ranks found over GPUs only
        require RANK
        [[ $RANK == 0 ]] || return 0
    elif [[ ${RANKS:-1} -gt 1 ]]; then
        require RANK INIT
        set -- "$@" --distributed-world-size "$RANKS" --distributed-rank "$RANK" --distributed-init-method "$INIT" \
            --distributed-no-spawn --device-id "${LOCAL_RANK:-0}" "${logs[@]}"
    elif [[ ${GPUS:-1} -gt 1 ]]; then
        # processes that fairseq starts itself know nothing of this command line, but what the checkpoint holds
        command=(torchrun --standalone --nproc-per-node "$GPUS" "$(command -v fairseq-validate)")
        set -- "$@" --distributed-world-size "$GPUS" "${logs[@]}"
    fi
    if [[ ${CPU:-0} == 1 ]]; then
        set -- "$@" --cpu
    fi
    "${command[@]}" "$DATA" --user-dir "$USER_DIR" --task "$task" --path "$CHECKPOINT" --valid-subset "$splits" \
        --results-dir "$RESULTS" --batch-size "$BATCH" --num-workers 4 "$@"
}

# prepare MODULE ARGUMENT...: a benchmark's prepare.sh; the arguments are those of the Python module.
prepare() {
    local module=one_peace.data.prepare.$1
    shift
    if [[ -d $SCRIPTS/../one_peace ]]; then # a checkout that need not be installed
        PYTHONPATH=$(dirname "$SCRIPTS")${PYTHONPATH:+:$PYTHONPATH}
        export PYTHONPATH
    fi
    exec "${PYTHON:-python}" -m "$module" "$@"
}
