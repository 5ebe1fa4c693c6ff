#!/bin/sh
# Prints the path of a Python 3.13 that runs; without one, says on stderr what to install and exits 1.
# With an argument only that one is tried. A candidate is run, not only found: version managers leave
# a `python3.13` on PATH that runs only in folders where that version is chosen.
set -u

is_right() {
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

if [ $# -gt 0 ]; then
    if is_right "$1"; then
        echo "$1"
        exit 0
    fi
    echo "$1 is not a Python 3.13." >&2
else
    for candidate in python3.13 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python \
        "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-3.13*/bin/python3.13 \
        /usr/local/bin/python3.13; do
        if is_right "$candidate"; then
            echo "$candidate"
            exit 0
        fi
    done
fi

cat >&2 <<'MESSAGE'
Orderflow needs Python 3.13, with its venv module. Install one of:
  https://www.python.org/downloads/    (Linux; on Windows inside WSL)
  apt install python3.13 python3.13-venv
  pyenv install 3.13
  uv python install 3.13
and run make again, or name it: make PYTHON=/path/to/python3.13
MESSAGE
exit 1
