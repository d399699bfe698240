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

# correlations: writes a module of that name, for references of scores.
correlations() {
    cat >correlations.py <<'PYTHON'
import numpy as np

def ranks(x):
    """Average ranks."""
    values, places, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]

def correlation(x, y):
    """None: not defined; 0: the predictions x are all the same."""
    if len(y) < 2 or (y == y[0]).all():
        return None
    return 0.0 if (x == x[0]).all() else np.corrcoef(x, y)[0, 1]

def spearman(x, y):
    return correlation(ranks(x), ranks(y))

def same(got, wanted, tolerance=1e-9):
    if wanted is None or got is None:
        return got is None and wanted is None
    return abs(got - wanted) <= tolerance * (1 + abs(wanted))
PYTHON
}

# fit_two_sizes DESCRIPTION: a store sizes.dms of 120 models with a fit main, trained on subsets of 10 of 20 examples; those that
# it has held out have 5.
fit_two_sizes() {
    check_python "$1" <<'PYTHON'
random = np.random.default_rng(2)
masks = np.argsort(random.random((120, 20)), axis=1) < np.where(np.arange(120) < 100, 10, 5)[:, None]
np.save("masks.npy", masks)
np.save("y.npy", (masks[:, :1] + random.normal(size=(120, 1)) / 4).astype(np.float32))
PYTHON
    dmstore create sizes.dms --examples 20 --output y:1:f32 >/dev/null
    dmstore ingest sizes.dms --masks masks.npy --output y=y.npy >/dev/null
    dmstore fit sizes.dms --output y --name main --holdout 20 --validation 20 >/dev/null
}
