#!/usr/bin/env bash
# Train TSN on Kinetics. Further flags are passed on; paths are relative to the project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/environment.sh
exec "$(project_python)" train.py --model-name=TSN --config=configs/tsn.txt "$@"
