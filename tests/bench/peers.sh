#!/usr/bin/env bash
# Holds dmstore against the other programs that do what it does, side by side in one run: solvers of the LASSO, and
# formats for masks and outputs.
#
#   peers.sh [--venv DIR] [--only solvers|stores]... [--output DIR] [--directory DIR] [--solvers FLAG]...
#            [--stores FLAG]...
#
# --venv makes Python environments in DIR, or uses those that are there, and installs what peers_solvers.txt,
# peers_stores.txt and peers_ffcv.txt ask for; without it, what $PYTHON has is compared. Peers that are not there are
# listed, with the reason. Programs are those of $DMSTORE_BUILD_DIR (else the working directory). Tables go to the
# standard output and, as Markdown and JSON, to --output (else the working directory); data to --directory. --solvers
# and --stores pass a flag on to peers_solvers.py and peers_stores.py.
set -eu

bench_dir=$(cd "$(dirname "$0")" && pwd)
build_dir=$(cd "${DMSTORE_BUILD_DIR:-.}" && pwd)
venv=
output=.
directory=.
only=()
solvers_flags=()
stores_flags=()
while [ $# -gt 0 ]; do
    case $1 in
    --venv) venv=${2:?--venv needs a directory} ;;
    --only)
        [[ ${2-} == @(solvers|stores) ]] || { echo "peers.sh: --only needs solvers or stores" >&2 && exit 2; }
        only+=("$2")
        ;;
    --output) output=${2:?--output needs a directory} ;;
    --directory) directory=${2:?--directory needs a directory} ;;
    --solvers) solvers_flags+=("${2:?--solvers needs a flag}") ;;
    --stores) stores_flags+=("${2:?--stores needs a flag}") ;;
    *) sed -n 's/^# \{0,1\}//; 2,12p' "$0" >&2 && exit 2 ;;
    esac
    shift 2
done
[ ${#only[@]} -gt 0 ] || only=(solvers stores)

# install_package ENVIRONMENT REQUIREMENT CONSTRAINTS: one package; what pip says when it cannot is kept for the tables.
install_package() {
    local flags=(--only-binary :all: --constraint "$3")
    local log=$venv/logs/${2%%==*}
    [[ $2 != ffcv==* ]] || flags=(--no-deps --no-build-isolation) # it has no wheels
    if "$1/bin/python" -m pip install --quiet "${flags[@]}" "$2" >"$log" 2>&1; then
        rm -f "$log"
    else
        echo "peers.sh: cannot install $2: $(grep -i error "$log" | tail -n 1)" >&2
    fi
}

# environment NAME PROGRAM FLAGS...: makes $venv/NAME, unless it is there, with what peers_NAME.txt asks for, and sets
# PROGRAM to its Python.
environment() {
    local requirement requirements
    requirements=$(sed 's/#.*//; /^ *$/d' "$bench_dir/peers_$1.txt")
    mkdir -p "$venv/logs"
    [ -x "$venv/$1/bin/python" ] || /usr/bin/python3 -m venv "${@:3}" "$venv/$1"
    for requirement in $requirements; do
        install_package "$venv/$1" "$requirement" <(echo "$requirements")
    done
    printf -v "$2" %s "$venv/$1/bin/python"
}

solvers_python=${PYTHON:-python3}
stores_python=$solvers_python
ffcv_python=$solvers_python
if [ -n "$venv" ]; then
    mkdir -p "$venv"
    venv=$(cd "$venv" && pwd)
    for part in "${only[@]}"; do
        environment "$part" "${part}_python"
        # FFCV takes PyTorch, Numba and OpenCV from the system.
        [ "$part" = solvers ] || environment ffcv ffcv_python --system-site-packages
    done
fi

# OpenBLAS chooses its kernels itself: older builds are told on some machines, and pass for slow.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
[ -z "$venv" ] || export DMSTORE_PEERS_LOGS=$venv/logs
export PYTHONDONTWRITEBYTECODE=1
for part in "${only[@]}"; do
    case $part in
    solvers)
        "$solvers_python" "$bench_dir/peers_solvers.py" --dmstore "$build_dir/dmstore" --directory "$directory" \
            --output "$output/peers-solvers" ${solvers_flags[@]+"${solvers_flags[@]}"}
        ;;
    stores)
        "$stores_python" "$bench_dir/peers_stores.py" --dmstore "$build_dir/dmstore" --build "$build_dir" \
            --directory "$directory" --output "$output/peers-stores" --ffcv-python "$ffcv_python" \
            ${stores_flags[@]+"${stores_flags[@]}"}
        ;;
    esac
done
