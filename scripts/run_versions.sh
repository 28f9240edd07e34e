#!/usr/bin/env bash
# The tests of readers and pages with the oldest and the newest packages that requirements.txt allows; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/run_versions.sh [--keep FOLDER] [pytest arguments]

Run tests with the oldest and with the newest packages that requirements.txt allows. Makes a virtual environment of each,
and runs in it the tests of what reads data and makes pages, with PyAV and without. Ends with a line for each run; exit
code 1 if one fails. The oldest are found by uv, which pip installs into the environments; where a version has no wheel
for this Python, the oldest that has one counts, which is said. Needs a network for pip, 4 GB of disk, and about ten
minutes.

  --keep FOLDER     make the environments in this folder, or use those that are there; default: a temporary one
  pytest arguments  instead of the tests of datareader, dataset, and tools/files, show, doctor, runtime and pages,
                    and of files of PyTorch and safetensors
  PYTHON=...        the Python to use
TEXT
}

folder=
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --keep) [ $# -gt 1 ] || fail "--keep needs a folder"; folder=$2; shift 2 ;;
        *) break ;;
    esac
done
if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
[ $# -gt 0 ] || set -- tests/datareader tests/dataset tests/tools/{files,show,doctor,runtime,pages} \
    tests/tools/weights/test_{torch,safetensors}_files.py
base=$(find_python)

# Bring the environment $1 to the versions that uv calls $2.
install_versions() {
    [ -x "$1/bin/python" ] || "$base" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check uv
    "$1/bin/python" -m uv pip install --quiet --upgrade --only-binary :all: --resolution "$2" --python "$1/bin/python" \
        -r requirements.txt -r tests/requirements.txt
    "$1/bin/python" - <<'PYTHON'
from tools.runtime.packages import check_versions, find_installed, load_requirements

check_versions()
for name, least in load_requirements():
    print(f"{name} {find_installed(name)[1]} (at least {least})")
PYTHON
}

results=()
failed=0
for versions in lowest-direct highest; do
    environment=$folder/$versions
    echo "== $versions"
    install_versions "$environment" "$versions"
    for decoder in pyav opencv; do
        if "$environment/bin/python" -m pytest --decoder="$decoder" -p no:cacheprovider "$@"; then
            results+=("passed  $versions, $decoder")
        else
            results+=("FAILED  $versions, $decoder")
            failed=1
        fi
    done
done
printf '%s\n' "" "$("$base" --version)" "${results[@]}"
exit $failed
