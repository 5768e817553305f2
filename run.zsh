#!/bin/sh
# Runs galaxycnn in an environment of its own, which the first run makes. Any of zsh, bash and dash
# can run this file. Usage: `./run.zsh` without words. Environment variables:
#   GALAXYCNN_PYTHON  the Python to use (default: the first of python3, python3.13 … python3.10 that fits)
#   GALAXYCNN_VENV    where the environment lives (default: .venv beside this file)

if [ -n "${ZSH_VERSION-}" ]; then emulate sh; fi
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
venv=${GALAXYCNN_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
marks=$venv/.galaxycnn # one file per finished step, holding what it was made from
lock=$venv.lock        # a folder that exists while somebody installs

say() { printf 'run.zsh: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 2
}

usage() {
    cat <<'END'
usage: ./run.zsh CONFIG.yaml [option ...]   train and evaluate what the file describes
       ./run.zsh test [pytest option ...]   run the test suite (paths are relative to the checkout)
       ./run.zsh WORD [option ...]          galaxycnn WORD ..., for example:
           ./run.zsh list models
           ./run.zsh data simulate -n 2000 --seed 48 -o survey
           ./run.zsh evaluate saved_models/NAME.keras --images DIR --labels FILE.csv
The first run installs everything into .venv; later runs start at once.
END
}

# -- finding Python ------------------------------------------------------------------------------

# Print "MAJOR.MINOR" of an interpreter and the path of the one it was made from.
describe() {
    "$1" -c 'import sys
print("%d.%d" % sys.version_info[:2])
print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null
}

# Set python and version from a candidate, if it is one that the locks are made for.
try_python() {
    found=$(describe "$1") || return 1
    version=$(printf '%s\n' "$found" | head -n 1)
    python=$(printf '%s\n' "$found" | tail -n 1)
    case $version in
        3.10 | 3.11 | 3.12 | 3.13) return 0 ;;
    esac
    unfit="${unfit-}${unfit:+, }$1 is Python $version"
    return 1
}

find_python() {
    hint='Debian or Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python@3.12'
    if [ -n "${GALAXYCNN_PYTHON-}" ]; then
        try_python "$GALAXYCNN_PYTHON" && return
        fail "GALAXYCNN_PYTHON must be a Python 3.10 to 3.13, and ${unfit:-$GALAXYCNN_PYTHON does not run} ($hint)"
    fi
    for candidate in "$venv/bin/python" python3 python3.13 python3.12 python3.11 python3.10; do
        try_python "$candidate" && return
    done
    fail "galaxycnn needs Python 3.10 to 3.13, and ${unfit:-no python3 was found} ($hint)"
}

# -- installing, once ----------------------------------------------------------------------------

checksum() { (cd "$root" && cat "$@" | cksum); }

marked() { [ -f "$marks/$1" ] && [ "$(cat "$marks/$1")" = "$2" ]; }
mark() { printf '%s\n' "$2" >"$marks/$1"; }

acquire() {
    home=$(dirname "$venv")
    mkdir -p "$home" && [ -w "$home" ] || fail "$home cannot be written; set GALAXYCNN_VENV to a folder that can"
    waited=
    until mkdir "$lock" 2>/dev/null; do
        owner=$(cat "$lock/pid" 2>/dev/null || echo)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$lock"
            continue
        fi
        [ -n "$waited" ] || say "waiting for another run.zsh to finish installing (if there is none, remove $lock)"
        waited=yes
        sleep 1
    done
    echo $$ >"$lock/pid"
    trap 'release' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

release() {
    if [ -n "${clock-}" ]; then kill "$clock" 2>/dev/null || :; fi
    clock=
    rm -rf "$lock"
    trap - EXIT HUP INT TERM
}

# Run a command with the time it has taken so far shown on a terminal.
timed() {
    if [ -t 2 ]; then
        (
            s=0
            while sleep 1; do
                s=$((s + 1))
                printf '\r  %d:%02d ' $((s / 60)) $((s % 60)) >&2
            done
        ) &
        clock=$!
    fi
    outcome=0
    "$@" || outcome=$?
    if [ -n "${clock-}" ]; then
        kill "$clock" 2>/dev/null || :
        clock=
        printf '\r        \r' >&2
    fi
    return "$outcome"
}

pip_install() {
    timed "$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check "$@" || {
        say 'the installation failed, as told above; the same command starts it again'
        exit 1
    }
}

make_environment() {
    if [ -e "$venv" ] && [ ! -d "$marks" ] && [ -n "$(ls -A "$venv")" ]; then
        fail "$venv is there but was not made by run.zsh; remove it, or set GALAXYCNN_VENV to another folder"
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python lacks the venv module (Debian or Ubuntu: sudo apt install python$version-venv;" \
            "macOS: brew install python@$version)"
    say "making $venv with Python $version; TensorFlow and the rest take one to five minutes to install, once"
    rm -rf "$venv"
    mkdir -p "$marks"
    "$python" -m venv "$venv"
    pip_install -r "$root/requirements.lock"
}

# Bring the environment up to "run", or to "test", which adds the development tools. A step is marked only
# after it succeeded, so one that was interrupted is done again.
prepare() {
    find_python
    packages="$root $version $(checksum requirements.lock)"
    itself="$packages $(checksum setup.cfg)"
    tools="$packages $(checksum requirements-dev.lock)"
    if marked packages "$packages" && marked itself "$itself" && { [ "$1" = run ] || marked tools "$tools"; }; then
        return
    fi
    acquire
    if ! marked packages "$packages"; then
        make_environment
        mark packages "$packages"
    fi
    if ! marked itself "$itself"; then
        pip_install --no-deps --no-build-isolation -e "$root"
        mark itself "$itself"
    fi
    if [ "$1" = test ] && ! marked tools "$tools"; then
        say 'adding the development tools'
        pip_install -r "$root/requirements-dev.lock"
        mark tools "$tools"
    fi
    release
}

# -- what was asked for --------------------------------------------------------------------------

export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL-2}"
# glibc asks Linux for huge pages: a training step takes and gives back hundreds of megabytes.
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}"

case ${1-} in
    '' | -h | --help)
        usage
        if [ -f "$marks/itself" ]; then
            echo
            exec "$venv/bin/galaxycnn" --help
        fi
        ;;
    test)
        shift
        prepare test
        cd "$root"
        exec "$venv/bin/python" -m pytest -n auto --dist loadfile "$@"
        ;;
    --config | --config=* | *.yaml | *.yml)
        prepare run
        exec "$venv/bin/galaxycnn" train "$@"
        ;;
    *)
        prepare run
        exec "$venv/bin/galaxycnn" "$@"
        ;;
esac
