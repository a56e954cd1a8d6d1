# Sourced by the other scripts. Makes .venv with converter (editable) and its tools in it, once, and sets
#   root    the top of the repository
#   python  the interpreter in .venv
# Needs Python 3.11 or newer with pip. Package indexes and certificates are whatever pip is configured to use.
# The stamp .venv/converter.stamp says what was installed; another pyproject.toml, Python or place installs again.
# PYTHON=/path/to/python names the interpreter to build with.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"

_say() { echo "$*" >&2; }

# The first Python that is new enough.
_find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.13 python3.12 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    _say "error: converter needs Python 3.11 or newer; tried ${PYTHON:+$PYTHON }python3.11 python3 python3.13 python3.12 python"
    return 1
}

# What an installation depends on, as one line: the interpreter and the place, then the dependencies.
_fingerprint() {
    "$1" - "$root" 2>/dev/null <<'PYTHON'
import hashlib, pathlib, sys
root = sys.argv[1]
print(hashlib.sha256(f"{sys.version}|{root}".encode()).hexdigest(), hashlib.sha256(pathlib.Path(root, "pyproject.toml").read_bytes()).hexdigest())
PYTHON
}

_stamp() { cat "$root/.venv/converter.stamp" 2>/dev/null || echo none; }

_is_ready() { [ -x "$python" ] && [ "$(_stamp)" = "$(_fingerprint "$python")" ]; }

# Only the dependencies changed since an installation that was finished: pip brings it up to date faster than anew.
_is_stale() {
    local now
    now="$([ -x "$python" ] && _fingerprint "$python")" && [ "${now% *}" = "$(_stamp | cut -d' ' -f1)" ]
}

_install() {
    local base clear=(--clear) quiet=() pip
    base="$(_find_python)" || return 1
    [ -t 2 ] || quiet=(--quiet)
    if _is_stale; then clear=(); fi
    rm -f "$root/.venv/converter.stamp"
    if "$base" -c 'import ensurepip' 2>/dev/null; then
        "$base" -m venv ${clear[@]+"${clear[@]}"} "$root/.venv" || return 1
        pip=("$python" -m pip)
    elif "$base" -m pip --python "$base" --version >/dev/null 2>&1; then
        # Debian and Ubuntu split venv's pip into a package of its own; the pip outside can fill the environment too.
        "$base" -m venv ${clear[@]+"${clear[@]}"} --without-pip "$root/.venv" || return 1
        pip=("$base" -m pip --python "$python")
    else
        _say "error: $("$base" -V) at $(command -v "$base") has neither ensurepip nor a pip of 22.3 or newer; install one" \
             "(Debian and Ubuntu: apt install python3-venv), or set PYTHON to another interpreter"
        return 1
    fi
    "${pip[@]}" install --disable-pip-version-check ${quiet[@]+"${quiet[@]}"} -e "$root[dev]" || return 1
    _fingerprint "$python" >"$root/.venv/converter.stamp"
}

ensure_venv() {
    _is_ready && return
    if command -v flock >/dev/null; then  # a second script that starts meanwhile waits, and then finds the work done
        exec 9>"$root/.venv.lock"
        flock 9
        _is_ready && { exec 9>&-; return; }
    fi
    _say "Setting up .venv (once; TensorFlow is a download of some 600 MB) ..."
    if ! _install; then
        _say "error: .venv could not be set up; the message above says why. The next run starts afresh."
        exit 2
    fi
    if command -v flock >/dev/null; then exec 9>&-; fi
}

ensure_venv
