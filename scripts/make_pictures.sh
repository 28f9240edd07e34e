#!/usr/bin/env bash
# The pictures that the pages show, made anew; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/make_pictures.sh [--weights FOLDER] [--no-install]

Make the pictures that the pages show anew, from the demo data. They take the place of those that are there:

  dataset/images/answer.png    a clip and its five best classes, of infer.py --report
  dataset/images/answers.png   four clips, of the same page
  dataset/images/timeline.png  windows of a longer clip, of infer.py --window-sec --report
  dataset/images/clip.png      frames of a clip, by tools.show
  dataset/images/features.png  a record of features, by tools.show
  tools/images/run.png         the page of a training
  tools/images/classes.png     classes, of test.py --report
  tools/images/server.png      the page of tools.serve

Needs Chromium, requirements-serve.txt and tests/requirements.txt besides what the quickstart needs. Changes nothing else,
but demo data and weights that are not there yet are made and stay.

  --weights FOLDER  with STNET_best and TSN_best of trainings on the demo clips, and their logs; by default
                    checkpoints/demo, as the quickstart leaves it, where both are trained first if they are missing
  --no-install      use $PYTHON, or the Python found, as it is
  PYTHON=...        the Python to use
TEXT
}

value=checkpoints/demo
read_arguments --weights "a folder" "$@"
weights=$value

choose_python requirements-serve.txt tests/requirements.txt
"$python" -m tests.pictures needs

clips=dataset/kinetics/demo
show "$python" dataset/kinetics/make_demo.py
show "$python" dataset/youtube8m/make_demo.py
for model in STNET TSN; do
    [ ! -e "$weights/${model}_best" ] || continue
    [ "$weights" = checkpoints/demo ] || fail "$weights has no ${model}_best; leave --weights out to train it"
    config=configs/demo/$(echo "$model" | tr '[:upper:]' '[:lower:]').txt
    show "$python" train.py --model-name="$model" --config="$config" --save-dir="$weights" --resume=auto --valid-first
done

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
# An engine of its own would leave its program in ~/.paddle.
infer=("$python" infer.py --weights="$weights/STNET_best" --engine=dygraph --save-dir="$pages")
show "$python" -m tools.show "$clips/val/growing_00.mp4" --config configs/demo/stnet.txt --output dataset/images/clip.png --force
show "$python" -m tools.show dataset/youtube8m/demo/val00.pkl --config configs/demo/attention_cluster.txt --record 1 \
    --output dataset/images/features.png --force
show "${infer[@]}" --video "$clips"/val/{growing,rising,sinking,stripes}_01.mp4 --report "$pages/answers.html"
show "$python" -m tests.pictures film "$pages/film.mp4"
show "${infer[@]}" --video "$pages/film.mp4" --window-sec 2 --stride-sec 1 --report "$pages/timeline.html"
show "$python" -m tools.report "$weights" --model-name=STNET --output "$pages/run.html"
show "$python" test.py --weights="$weights/TSN_best" --report "$pages/test.html"
export TMPDIR=$pages # for what the browser leaves
show "$python" -m tests.pictures shoot "$pages" "$weights/STNET_best"
