#!/bin/sh
# Make .venv hold exactly what a lock file names; nothing happens when it already does.
# Usage: config/runtime/venv.sh requirements.txt|requirements-dev.txt
set -eu
cd "$(dirname "$0")/../.."
lock=$1

stop() {
    echo "Holdfast cannot be set up. $1" >&2
    exit 1
}

installed() {
    cmp -s "$1" ".venv/.installed/$1"
}

# The development lock holds all of the other one.
if .venv/bin/python -c '' 2>/dev/null && { installed "$lock" || installed requirements-dev.txt; }; then
    exit 0
fi

good='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'
python=
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$good" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done

if [ "$(uname -s)" = Linux ]; then
    packages="Install what is missing: sudo apt-get install -y build-essential python3-dev python3-venv"
else
    packages="Install Python 3.12 and run the same command again, for example: brew install python@3.12"
fi
[ -n "$python" ] || stop "It needs Python 3.11 or newer. $packages"
"$python" -c 'import venv, ensurepip' 2>/dev/null || stop "This Python has no venv module. $packages"
if [ "$(uname -s)" = Linux ]; then
    # pdqhash has no wheel for Linux and is compiled here.
    command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 ||
        stop "There is no C++ compiler, which pdqhash needs. $packages"
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
        stop "Python's header files are missing, which pdqhash needs. $packages"
fi

if ! .venv/bin/python -c "$good" >/dev/null 2>&1; then
    echo "Creating .venv with $("$python" --version) …"
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "Installing what $lock names (every file is checked against its hash) …"
if uv --version >/dev/null 2>&1; then
    uv pip install --quiet --python .venv/bin/python --require-hashes -r "$lock"
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
fi
mkdir -p .venv/.installed
cp "$lock" .venv/.installed/
