#!/usr/bin/env bash
# At which subset size are rare features of the training data detected, and at which common ones? Trains thousands of models
# at each of nine subset sizes, fits a datamodel to each of 150 targets with dmstore, prints how well the datamodels
# find the features, and draws a chart (Ilyas et al. 2022, Appendix B; subset_size_simulation.c says what is measured).
#
#   subset_size_simulation.sh [--models M | --full] [--seed S] [--build-dir DIR] [OUTPUT]
#
#   --models M       models a subset size; 50000 unless given
#   --full           1,000,000 models a subset size, the paper's number
#   --seed S         of the learning task; 1 unless given
#   --build-dir DIR  where dmstore was built; else programs are looked for in PATH
#   OUTPUT           where the stores and chart.svg go; ./subset_size_simulation unless given. Run it again with more models,
#                    and the stores grow
set -euo pipefail

models=50000
seed=1
output=subset_size_simulation
while [ $# -gt 0 ]; do
    case $1 in
    --models) models=${2:?--models needs a number} && shift ;;
    --full) models=1000000 ;;
    --seed) seed=${2:?--seed needs a number} && shift ;;
    --build-dir)
        build_dir=$(cd "${2:?--build-dir needs a directory}" && pwd)
        PATH=$build_dir:$build_dir/tools/examples:$PATH
        shift
        ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit 0 ;;
    -*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
    *) output=$1 ;;
    esac
    shift
done

# So many models tell 125 weights apart so well that every target chooses the last lambda, and that a rough path will do.
fit_options=(--lambdas 12 --tol 0.01 --no-refit)
fit=lasso-$models # a fit keeps its models: more models, another fit
mkdir -p "$output"
stores=()
for alpha in 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9; do
    store=$output/alpha-$alpha-seed-$seed.dms
    stores+=("$store")
    started=$SECONDS
    if [ ! -d "$store" ]; then
        dmstore create "$store" --examples 125 --output predictions:150:f16 --meta "alpha=$alpha" --meta "seed=$seed" >/dev/null
    fi
    subset_size_simulation train "$store" "$models"
    trained=$SECONDS
    if ! dmstore fits "$store" "$fit" >/dev/null 2>&1; then
        dmstore fit "$store" --output predictions --name "$fit" "${fit_options[@]}" >/dev/null
    fi
    echo "alpha $alpha: $models models trained in $((trained - started)) s, 150 datamodels fitted in $((SECONDS - trained)) s"
done
subset_size_simulation chart "$output/chart.svg" "$fit" "${stores[@]}"
echo "all of it in $SECONDS s; the chart is $output/chart.svg"
