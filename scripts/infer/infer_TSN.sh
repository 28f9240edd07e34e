#!/usr/bin/env bash
# Name the classes of videos with TSN; give --weights=PATH. Further flags are passed on; paths are relative to the project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/environment.sh
exec "$(project_python)" infer.py --model-name=TSN --config=configs/tsn.txt "$@"
