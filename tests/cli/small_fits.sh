# Made-up fits for the tests of embeddings: sourced after numpy.sh. The whole test is skipped where $PYTHON has no
# scikit-learn.
if ! "$PYTHON" -c 'import sklearn' 2>/dev/null; then
    echo "1..0 # SKIP $PYTHON has no scikit-learn"
    exit 0
fi

# make_store STORE EXAMPLES TARGETS: a store of two models with output y, for fits that are imported.
make_store() {
    python "$2" "$3" <<'PYTHON'
d, n = int(sys.argv[1]), int(sys.argv[2])
np.save("two_masks.npy", np.arange(2 * d).reshape(2, d) % 3 == 0)
np.save("two_y.npy", np.arange(2 * n).reshape(2, n).astype(np.float16))
PYTHON
    dmstore create "$1" --examples "$2" --output "y:$3:f16" >"$stdout_file" &&
        dmstore ingest "$1" --masks two_masks.npy --output y=two_y.npy >"$stdout_file" 2>"$stderr_file"
}

# import STORE NAME OPTION...: takes NAME.npy, a row a target, as fit NAME.
import() {
    check "$2 is imported" dmstore import-fit "$1" --name "$2" --output y --weight "$2.npy" --transposed "${@:3}"
}
