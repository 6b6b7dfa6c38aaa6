#!/usr/bin/env bash
# Builds the benchmarks in $OUT/data and their manifests, by run_scripts/*/prepare.sh, in $OUT/manifests.
set -euo pipefail
EXAMPLE=stampworld
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
usage "Usage: [OUT=DIR] [PYTHON=...] $0 [OPTIONS]
Builds the benchmarks in \$OUT/data (four minutes, 1.4 GB) and makes their manifests in \$OUT/manifests.
  OUT=$OUT
OPTIONS are those of python -m one_peace.examples.stampworld.build, such as
  --small                                   a dozen of everything
  --package FILE --samples-package FILE     packages you have, instead of downloading them" "$@"
DATA="$OUT/data"

# manifests BENCHMARK FOLDER OPTION...: one prepare.sh.
manifests() {
    local benchmark=$1 folder="$OUT/manifests/$2"
    shift 2
    PYTHON="$PYTHON" bash "$ROOT/run_scripts/$benchmark/prepare.sh" --out "$folder" "$@"
}

"$PYTHON" -m one_peace.examples.stampworld.build --out "$DATA" "$@"
manifests coco_retrieval coco_retrieval --karpathy "$DATA/coco/dataset_coco.json" --images "$DATA/coco"
for dataset in refcoco refcoco+ refcocog; do
    manifests refcoco $dataset --refer "$DATA/refer/$dataset" --images "$DATA/coco"
done
awk 'NR == 1 || FNR > 1' "$OUT"/manifests/refcoco{,+,g}/train.tsv > "$OUT/manifests/refcoco/all_three.tsv"
manifests vqa vqa --vqa "$DATA/vqa" --images "$DATA/coco" --min-count 3
manifests nlvr2 nlvr2 --nlvr2 "$DATA/nlvr2/data" --images "$DATA/nlvr2/images"
awk -F '\t' 'NR == 1 || $2 ~ /background/' "$OUT/manifests/nlvr2/train.tsv" > "$OUT/manifests/nlvr2/backgrounds.tsv"
manifests imagenet imagenet --imagenet "$DATA/imagenet" --names "$DATA/imagenet/LOC_synset_mapping.txt"
captioned=(--audiocaps "$DATA/audiocaps" --clotho "$DATA/clotho")
manifests audiocaps_clotho_retrieval audiocaps_clotho_retrieval "${captioned[@]}"
manifests audiocaps_clotho_retrieval stage2 "${captioned[@]}" --macs "$DATA/macs"
manifests esc50 esc50 --esc50 "$DATA/esc50"
manifests fsd50k fsd50k --fsd50k "$DATA/fsd50k"
manifests vggsound vggsound --csv "$DATA/vggsound/vggsound.csv" --sounds "$DATA/vggsound/sounds"
manifests avqa avqa --avqa "$DATA/avqa" --sounds "$DATA/avqa/sounds"
"$PYTHON" -m one_peace.examples.stampworld.chance "$DATA" > "$OUT/chance.md"
echo "manifests in $OUT/manifests, what guessing gives in $OUT/chance.md"
