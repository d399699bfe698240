# A run on real data for the command-line tests of queries: sourced after tap.sh. 4,000 nearest-neighbour models of the
# demonstration (ids 0 to 3999, seed 1) and a fit `knn` of targets 0 to 59 on 3,200 of them, 400 held out. It takes some
# seconds to make, so the first test that asks makes it in the build tree and the others copy it.

# digits_run: puts the store digits.dms, digits.csv, and files/ (what `digits files` writes: images, labels, names) in the
# working directory. The whole test is skipped where the demonstration is not built.
digits_run() {
    local made=$DMSTORE_BUILD_DIR/tests/cli/digits-run
    digits=$DMSTORE_BUILD_DIR/tools/demo/digits
    if [ ! -x "$digits" ]; then
        echo "1..0 # SKIP no tools/demo/digits in the build tree"
        exit 0
    fi
    mkdir -p "$DMSTORE_BUILD_DIR/tests/cli"
    (
        flock 9
        # A run of another program, or one that was not finished, is made again.
        [ "$made/done" -nt "$DMSTORE" ] || make_digits_run "$made"
    ) 9>"$made.lock" >"$stdout_file" 2>"$stderr_file" || {
        echo "Bail out! the run on digits cannot be made"
        sed 's/^/# /' "$stdout_file" "$stderr_file"
        exit 1
    }
    cp -r "$made"/* .
    rm done
}

make_digits_run() { # DIRECTORY
    rm -rf "$1" && mkdir "$1" && cd "$1" &&
        gzip -dc "$DMSTORE_SOURCE_DIR/tools/demo/digits.csv.gz" >digits.csv &&
        "$digits" files --data digits.csv -o files &&
        dmstore create digits.dms --examples 1400 --output test_margins:397:f16 --scalar accuracy:f32 &&
        "$digits" train digits.dms --data digits.csv --seed 1 --ids 0:4000 &&
        dmstore fit digits.dms --output test_margins --name knn --targets 0:60 --holdout 400 --validation 400 \
            --lambdas 40 &&
        touch done
}
