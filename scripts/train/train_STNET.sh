#!/usr/bin/env bash
# Train STNET on Kinetics. Further flags are passed on; paths are relative to the project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/environment.sh
exec "$(project_python)" train.py --model-name=STNET --config=configs/stnet.txt "$@"
