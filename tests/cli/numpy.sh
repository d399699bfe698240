# For command-line tests that need NumPy: sourced after tap.sh. The whole test is skipped where $PYTHON (else python3) has
# no NumPy.

PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c 'import numpy' 2>/dev/null; then
    echo "1..0 # SKIP $PYTHON has no numpy"
    exit 0
fi

# python ARGUMENT...: runs a program from standard input, which finds NumPy as np, and helpers:
#   bits(x): the array's bytes, for comparisons in which NaN is equal to itself.
python() {
    "$PYTHON" -c '
import sys
import numpy as np
def bits(x):
    return (x.dtype, x.shape, x.tobytes())
exec(compile(open(0).read(), "test", "exec"))' "$@"
}

# check_python DESCRIPTION ARGUMENT...: the program on standard input ends without an exception.
check_python() {
    check_status "$1" 0 python "${@:2}"
}
