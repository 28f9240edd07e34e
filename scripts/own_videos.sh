#!/usr/bin/env bash
# From videos to their tags, by a model on features that a backbone makes; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/own_videos.sh [--weights PATH] [--no-install]

Extract features of the demo clips by a backbone, train AttentionLSTM on them, and name what is in a clip. With
the lists, class names and number of classes of your own videos in configs/demo/own_videos.txt, the same commands do it
for those. What is there already is used again; remove checkpoints/demo/features and checkpoints/demo/own_videos to
begin anew, as with other weights, of which no features come beside those that are there.

  --weights PATH  of the backbone: a checkpoint of TSN or STNET, or ResNet50_pretrained, which is fetched; by default
                  checkpoints/demo/TSN_best, which is trained first where it is missing
  --no-install    use $PYTHON, or the Python found, as it is
  PYTHON=...      the Python to use
TEXT
}

value=
read_arguments --weights "a path" "$@"
weights=$value

choose_python

clips=dataset/kinetics/demo
features=checkpoints/demo/features
saved=checkpoints/demo/own_videos
# A model would take features of other weights for its own.
[ ! -e "$saved" ] || [ -e "$features/train/features.list" ] ||
    fail "$saved has learnt from features that are gone; remove it too, to begin anew"
show "$python" dataset/kinetics/make_demo.py
if [ -z "$weights" ]; then
    weights=checkpoints/demo/TSN_best
    [ -e "$weights" ] ||
        show "$python" train.py --model-name=TSN --config=configs/demo/tsn.txt --save-dir=checkpoints/demo --resume=auto
fi
for part in train val; do
    show "$python" -m tools.extract --weights="$weights" --segments=8 --filelist="$clips/$part.list" --output="$features/$part" ||
        fail "there are no features to learn from; if those of other weights are there, remove $features and $saved"
done
show "$python" train.py --config=configs/demo/own_videos.txt --save-dir="$saved" --resume=auto
show "$python" test.py --weights="$saved/AttentionLSTM_best"
# A new clip is described by the same weights, in the same way.
show "$python" -m tools.extract --weights="$weights" --segments=8 --video "$clips/val/checkers_01.mp4" --output="$features/clip"
show "$python" infer.py --weights="$saved/AttentionLSTM_best" --filelist="$features/clip/features.list" --save-dir="$saved"
