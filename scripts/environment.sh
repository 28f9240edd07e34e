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

# Print the version of a Python that can use the modules $2; nothing for one that cannot, or is none.
version_with() {
    "$1" -c "import sys, $2; print('%d.%d' % sys.version_info[:2])" 2>/dev/null || true
}

# Make .venv with the Python found, unless that has been done; anew for another version and where it was broken off.
make_environment() {
    local base version
    base=$(find_python)
    version=$(version_with "$base" sys)
    [ "$(version_with .venv/bin/python pip)" != "$version" ] || return 0
    [ -n "$(version_with "$base" "venv, ensurepip")" ] ||
        fail "$base cannot make virtual environments; on Debian and Ubuntu install python$version-venv"
    echo "making .venv with Python $version ($base)"
    rm -rf .venv
    mkdir .venv
    echo "$version" >.venv/installed-python
    "$base" -m venv .venv || fail "$base could not make .venv"
}

# Stop unless the .venv that somebody else made can be used.
require_usable_environment() {
    local version
    [ -z "${PYTHON:-}" ] || find_python >/dev/null
    version=$(version_with .venv/bin/python pip)
    [ -n "$version" ] && is_supported .venv/bin/python ||
        fail "the .venv here is not of this script's making and has no Python $supported with pip; move it away, or put pip into it"
    [ -z "${PYTHON:-}" ] || [ "$(version_with "$PYTHON" sys)" = "$version" ] ||
        fail "the .venv here is not of this script's making and has Python $version, not that of PYTHON=$PYTHON; move it away, or leave PYTHON out"
}

# Make .venv and install the given requirements files, unless that has been done; set $python to its Python.
# A .venv that something else made, which has no file installed-*, is used if it can be, and neither removed nor marked.
prepare_environment() {
    local file stamp ours=no
    python=.venv/bin/python
    if [ ! -e .venv ] && [ ! -L .venv ] || compgen -G '.venv/installed-*' >/dev/null; then
        ours=yes
        make_environment
    else
        require_usable_environment
    fi
    for file in "$@"; do
        stamp=.venv/installed-$(echo "$file" | tr / -)
        if ! cmp -s "$file" "$stamp"; then
            echo "installing $file"
            "$python" -m pip install --quiet --disable-pip-version-check -r "$file" || fail "pip could not install $file"
            [ "$ours" = no ] || cp "$file" "$stamp"
        fi
    done
}

# Read the arguments of a script ($3 and on) that has a usage and one flag: $1, whose value, in words $2, becomes $value.
# Besides there are --no-install, which choose_python goes by, and --help.
read_arguments() {
    local flag=$1 what=$2
    shift 2
    install=yes
    while [ $# -gt 0 ]; do
        case $1 in
            "$flag"=*) value=${1#*=} ;;
            "$flag") [ $# -gt 1 ] || fail "$flag needs $what"; value=$2; shift ;;
            --no-install) install=no ;;
            -h | --help) usage; exit 0 ;;
            *) usage >&2; fail "unknown argument $1" ;;
        esac
        shift
    done
}

# Set $python: that of .venv, with requirements.txt and the files given, or with --no-install the one found.
choose_python() {
    if [ "$install" = yes ]; then
        prepare_environment requirements.txt "$@"
    else
        python=$(find_python)
    fi
}

# Print a command as it can be repeated by hand, and run it.
show() {
    echo
    echo "\$ $*"
    "$@"
}
