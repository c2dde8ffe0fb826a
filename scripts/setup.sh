# Sourced by scripts/run, scripts/site and scripts/test: makes .venv hold what the caller needs.
# install EXTRAS: takes seconds when pyproject.toml and constraints.txt have not changed.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*" >&2; }

find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    say "Python 3.11 or newer is needed; set PYTHON to one"
    exit 3
}

# Runs a long command quietly, says each half minute that it is still at work, shows its log if it fails.
patiently() {
    local what=$1 log=.venv/install.log began=$SECONDS pid
    shift
    "$@" >"$log" 2>&1 &
    pid=$!
    trap 'kill $pid 2>/dev/null' EXIT
    while kill -0 $pid 2>/dev/null; do
        sleep 1
        if (((SECONDS - began) % 30 == 29)); then
            say "still $what ($((SECONDS - began)) s)"
        fi
    done
    trap - EXIT
    if ! wait $pid; then
        tail -n 40 "$log" >&2
        say "$what failed; the whole log is in $log"
        exit 3
    fi
}

# Whether EXTRAS bring llama.cpp, and it is not here yet.
compiles() {
    case ",$1," in
    *,llamacpp,* | *,test,*)
        ! .venv/bin/python -c 'import importlib.metadata as m; m.version("llama-cpp-python")' 2>/dev/null
        ;;
    *) false ;;
    esac
}

install() {
    local extras=$1 python stamp
    python=$(find_python)
    stamp=.venv/installed-${extras//,/-}
    if [ ! -x .venv/bin/python ]; then
        say "creating .venv"
        "$python" -m venv .venv
    fi
    if cat pyproject.toml constraints.txt | cmp -s - "$stamp"; then
        return
    fi
    if compiles "$extras"; then
        if ! command -v c++ >/dev/null; then
            say "a C++ compiler is needed for llama.cpp; on Debian: apt-get install g++"
            exit 3
        fi
        say "installing; llama.cpp is compiled for this processor, 5 to 10 minutes on two cores, once"
    else
        say "installing what has changed"
    fi
    patiently installing .venv/bin/python -m pip install --disable-pip-version-check \
        -c constraints.txt -e ".${extras:+[$extras]}"
    cat pyproject.toml constraints.txt >"$stamp"
}
