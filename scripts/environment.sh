# Sourced by the other scripts: finds a Python, keeps the project's virtual environment, shows commands.
# Expects the working directory to be the project.

supported="3.10, 3.11, 3.12 or 3.13"

fail() {
    echo "error: $*" >&2
    exit 1
}

# Whether a command is a Python of a supported version.
is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

# Print the Python to use: $PYTHON, or the first supported one there is.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_supported "$PYTHON" || fail "PYTHON=$PYTHON is not a Python $supported"
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3 python python3.13 python3.12 python3.11 python3.10; do
        if is_supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python $supported found; install one, or name it: PYTHON=/path/to/python bash $0"
}

# Print the Python that runs the project's own commands: $PYTHON, that of .venv, or any supported one.
project_python() {
    if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then
        echo .venv/bin/python
    else
        find_python
    fi
}

# Make .venv and install the given requirements files, unless that has been done; set $python to its Python.
prepare_environment() {
    local base version
    base=$(find_python)
    version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    python=.venv/bin/python
    if [ "$("$python" -c 'import sys, pip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" != "$version" ]; then
        echo "making .venv with Python $version ($base)"
        rm -rf .venv
        "$base" -m venv .venv || fail "$base cannot make virtual environments; on Debian and Ubuntu install python$version-venv"
    fi
    local file stamp
    for file in "$@"; do
        stamp=.venv/installed-$(echo "$file" | tr / -)
        if ! cmp -s "$file" "$stamp"; then
            echo "installing $file"
            "$python" -m pip install --quiet --disable-pip-version-check -r "$file" || fail "pip could not install $file"
            cp "$file" "$stamp"
        fi
    done
}

# Print a command as it can be repeated by hand, and run it.
show() {
    echo
    echo "\$ $*"
    "$@"
}
