#!/usr/bin/env bash
# The tests of the readers with the oldest and the newest packages that requirements.txt allows; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/run_versions.sh [--keep FOLDER] [pytest arguments]

For the oldest and for the newest versions that requirements.txt allows: makes a virtual environment, and runs the tests
of the rooms that read data and of the programs on top of them, with PyAV and without. Ends with a line for each, and
with exit code 1 where one fails. uv, which pip installs, finds the oldest versions. Takes about ten minutes and 6 GB.

  --keep FOLDER     make the environments there, and use those that are there; default: a temporary folder
  pytest arguments  instead of the rooms, such as tests/dataset
  PYTHON=...        the Python to use
TEXT
}

folder=
case ${1:-} in
    -h | --help) usage; exit 0 ;;
    --keep) [ $# -gt 1 ] || fail "--keep needs a folder"; folder=$2; shift 2 ;;
esac
if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
[ $# -gt 0 ] || set -- tests/datareader tests/dataset tests/tools/show tests/tools/doctor tests/tools/runtime
base=$(find_python)

# Make an environment with the versions that $2 says: lowest-direct or highest.
make_versions() {
    [ -x "$1/bin/python" ] || "$base" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check uv
    "$1/bin/python" -m uv pip install --quiet --python "$1/bin/python" --only-binary :all: --resolution "$2" \
        -r requirements.txt
    "$1/bin/python" -m uv pip install --quiet --python "$1/bin/python" --only-binary :all: -r tests/requirements.txt
}
