#!/usr/bin/env bash
# From a fresh clone to a trained, tested and used model; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/quickstart.sh [--model NAME] [--no-install]

Makes .venv, installs requirements.txt, makes a small data set, and trains, tests and uses a model on
it with train.py, test.py and infer.py. Needs bash, Python 3.10 to 3.13 and a network for pip; no GPU.
What is there already is used again; remove checkpoints/demo to train anew.

  --model NAME   AttentionCluster (the default), AttentionLSTM, NEXTVLAD, STNET or TSN, in any case
  --no-install   use $PYTHON, or the Python found, as it is
  PYTHON=...     the Python to use
TEXT
}

model=AttentionCluster
install=yes
while [ $# -gt 0 ]; do
    case $1 in
        --model=*) model=${1#*=} ;;
        --model) [ $# -gt 1 ] || fail "--model needs a name"; model=$2; shift ;;
        --no-install) install=no ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown argument $1" ;;
    esac
    shift
done
data=youtube8m
case $(echo "$model" | tr '[:upper:]' '[:lower:]') in
    attentioncluster) model=AttentionCluster; config=configs/demo/attention_cluster.txt ;;
    attentionlstm) model=AttentionLSTM; config=configs/demo/attention_lstm.txt ;;
    nextvlad) model=NEXTVLAD; config=configs/demo/nextvlad.txt ;;
    stnet) model=STNET; config=configs/demo/stnet.txt; data=kinetics ;;
    tsn) model=TSN; config=configs/demo/tsn.txt; data=kinetics ;;
    *) fail "no demo for a model named $model; there is one for AttentionCluster, AttentionLSTM, NEXTVLAD, STNET, TSN" ;;
esac

if [ "$install" = yes ]; then
    prepare_environment requirements.txt
else
    python=$(find_python)
fi

save_dir=checkpoints/demo
show "$python" "dataset/$data/make_demo.py"
show "$python" train.py --model-name="$model" --config="$config" --save-dir="$save_dir" --resume=auto --valid-first
show "$python" test.py --model-name="$model" --config="$config" --weights="$save_dir/${model}_best" --output="$save_dir/${model}_test.json"
show "$python" infer.py --model-name="$model" --config="$config" --weights="$save_dir/${model}_best" --save-dir="$save_dir" --log-interval=100
show "$python" -m tools.summary "$save_dir" --model-name="$model"
