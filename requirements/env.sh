#!/usr/bin/env bash
# Builds the environment that every make target runs in; nothing is compiled.
#   requirements/env.sh key              print the hash of all that decides the environment's content
#   requirements/env.sh base VENV        run-time and development packages, the checkout as editable
#   requirements/env.sh all VENV         the same and every extra (requirements/extras/*.txt)
# A stamp named after the key is written last, so an environment with the stamp is complete.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "error: $*" >&2
    exit 1
}

env_key() {
    local files=(setup.py requirements/env.sh requirements/*.txt requirements/extras/*.txt)
    cat "${files[@]}" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16
}

find_python() {
    local candidate found=''
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
        command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))'; then
            command -v "$candidate"
            return
        fi
        found+="$candidate is $("$candidate" -V 2>&1); "
    done
    fail "needs Python 3.10 to 3.13, found: ${found:-none}. Install one, or name it:" \
        "make setup PYTHON=/path/to/python3.11"
}

make_venv() {
    local venv=$1 python
    "$venv/bin/python" -c '' 2>/dev/null && return
    python=$(find_python)
    echo "setup: $("$python" -V) at $python -> $venv"
    "$python" -m venv --clear "$venv" || fail "$python cannot make a virtual environment;" \
        "on Debian and Ubuntu: apt install python3-venv"
}

install_packages() {
    local python=$1
    shift
    if "$python" -m pip install -q -c requirements/constraints.txt uv; then
        "$python" -m uv pip install -q --python "$python" -c requirements/constraints.txt \
            --overrides requirements/overrides.txt "$@"
        return
    fi
    echo "setup: uv could not be installed, using pip (slower)" >&2
    "$python" -m pip install -q -c requirements/constraints.txt "$@"
    # pip has no overrides: take the OpenCV with a GUI out and put the headless files back.
    "$python" -m pip uninstall -q -y opencv-python
    "$python" -m pip install -q -c requirements/constraints.txt --force-reinstall --no-deps \
        opencv-python-headless
}

build() {
    local level=$1 venv=$2 key started=$SECONDS file
    local wanted=(-r requirements/runtime.txt -r requirements/dev.txt -e .)
    key=$(env_key)
    if [[ $level == all ]]; then
        for file in requirements/extras/*.txt; do
            wanted+=(-r "$file")
        done
    fi
    make_venv "$venv"
    rm -f "$venv"/.rapsam-*
    echo "setup: installing packages (about a minute where the network is quick)"
    install_packages "$(cd "$venv" && pwd)/bin/python" "${wanted[@]}"
    touch "$venv/.rapsam-base-$key" "$venv/.rapsam-$level-$key"
    echo "setup: done in $((SECONDS - started)) s"
}

case ${1:-} in
    key) env_key ;;
    base | all) build "$1" "${2:?usage: requirements/env.sh $1 VENV}" ;;
    *) fail "usage: requirements/env.sh key | base VENV | all VENV" ;;
esac
