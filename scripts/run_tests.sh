#!/usr/bin/env bash
# The test suite, from a fresh clone on; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

case ${1:-} in
    -h | --help)
        cat <<'TEXT'
usage: bash scripts/run_tests.sh [pytest arguments]

Run the test suite, in .venv. Makes .venv, installs requirements.txt, requirements-onnxruntime.txt,
requirements-serve.txt and tests/requirements.txt, and runs pytest. Longer tests are left out;
"bash scripts/run_tests.sh -m slow" runs those. PYTHON=... names the Python to use.
TEXT
        exit 0
        ;;
esac

prepare_environment requirements.txt requirements-onnxruntime.txt requirements-serve.txt tests/requirements.txt
"$python" -m pytest "$@"
