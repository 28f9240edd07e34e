#!/usr/bin/env bash
# From a fresh clone to a trained, tested and used model; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/quickstart.sh [--model NAME] [--no-install]

From a fresh clone, train, test and use a model on a small data set. Makes .venv, installs requirements.txt,
makes the data, and runs train.py, test.py and infer.py on it. Needs bash, Python 3.10 to 3.13 and a network for pip; no GPU.
What is there already is used again; remove checkpoints/demo to train anew.

  --model NAME   AttentionCluster (the default), AttentionLSTM, NEXTVLAD, STNET or TSN, in any case
  --no-install   use $PYTHON, or the Python found, as it is
  PYTHON=...     the Python to use
TEXT
}

value=AttentionCluster
read_arguments --model "a name" "$@"
model=$value
data=youtube8m
case $(echo "$model" | tr '[:upper:]' '[:lower:]') in
    attentioncluster) model=AttentionCluster; config=configs/demo/attention_cluster.txt ;;
    attentionlstm) model=AttentionLSTM; config=configs/demo/attention_lstm.txt ;;
    nextvlad) model=NEXTVLAD; config=configs/demo/nextvlad.txt ;;
    stnet) model=STNET; config=configs/demo/stnet.txt; data=kinetics ;;
    tsn) model=TSN; config=configs/demo/tsn.txt; data=kinetics ;;
    *) fail "no demo for a model named $model; there is one for AttentionCluster, AttentionLSTM, NEXTVLAD, STNET, TSN" ;;
esac

choose_python

save_dir=checkpoints/demo
show "$python" "dataset/$data/make_demo.py"
show "$python" train.py --model-name="$model" --config="$config" --save-dir="$save_dir" --resume=auto --valid-first
show "$python" test.py --model-name="$model" --config="$config" --weights="$save_dir/${model}_best" --output="$save_dir/${model}_test.json"
show "$python" infer.py --model-name="$model" --config="$config" --weights="$save_dir/${model}_best" --save-dir="$save_dir" --log-interval=100
show "$python" -m tools.summary "$save_dir" --model-name="$model"
