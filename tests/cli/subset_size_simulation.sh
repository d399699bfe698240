#!/usr/bin/env bash
# The example tools/examples/subset_size_simulation.sh, with few models, finds what the paper's figure says: the rarer a feature,
# the larger the subsets at which it is detected best.
source "$(dirname "$0")/tap.sh"

PATH=$(dirname "$DMSTORE"):$PATH
example=$DMSTORE_SOURCE_DIR/tools/examples/subset_size_simulation.sh
check "the simulation runs" bash "$example" --models 1000 --build-dir "$DMSTORE_BUILD_DIR" out
cp "$stdout_file" first.txt
table() { # FILE: without the times
    sed -n '/^Correlation/,/^best/p' "$1"
}
sed 's/^/# /' first.txt

best=$(sed -n 's/^best *//p' first.txt)
check "the rarest features are detected best in large subsets, the commonest in small ones, with no turn between them" \
    awk -v best="$best" 'BEGIN {
        count = split(best, alpha)
        ok = count == 6 && alpha[1] >= 0.8 && alpha[6] <= 0.2
        for (i = 2; i <= count; i++)
            ok = ok && alpha[i] <= alpha[i - 1]
        exit !ok
    }'
check_output "the chart has a line for each of six frequencies" 6 grep -c '<polyline' out/chart.svg

# Models that are there are not trained again, and fits of theirs are used.
check "it runs again" bash "$example" --models 1000 --build-dir "$DMSTORE_BUILD_DIR" out
cp "$stdout_file" second.txt
check_output "with the same table" "$(table first.txt)" table second.txt
done_testing
