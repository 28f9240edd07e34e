#!/usr/bin/env bash
# Score TSN; give --weights=PATH. Further flags are passed on; paths are relative to the project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/environment.sh
exec "$(project_python)" test.py --model-name=TSN --config=configs/tsn.txt "$@"
