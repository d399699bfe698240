#!/usr/bin/env bash
# Do datamodels tell what happens when a model is really trained again? Trains models on random halves of 1,400 images of
# digits and fits datamodels to some targets. Then it removes the training images that these say help and harm a target most,
# retrains, and prints the correlation of actual and predicted changes (Ilyas et al. 2022, Figure 8: Pearson 0.96). Last it
# searches for the smallest sets of images without which a target is taken for another digit, removes them, retrains, and
# prints how many of these predictions were confirmed (section 4.1: 92% with sets 1.2 times as large).
#
#   confirm_counterfactuals.sh [--models M] [--targets N] [--learner L] [--build-dir DIR] [OUTPUT]
#
#   --models M       models to fit datamodels to; 4000 unless given
#   --targets N      targets 0 to N - 1; 60 unless given
#   --learner L      ridge, a ridge classifier on the pixels, unless given; or knn, nearest neighbours
#   --build-dir DIR  where dmstore was built; else dmstore and digits are looked for in PATH
#   OUTPUT           where stores, plans and reports go; ./confirm_counterfactuals unless given. What is there is used again
set -euo pipefail

models=4000
targets=60
learner=ridge
output=confirm_counterfactuals
data=$(cd "$(dirname "$0")/../demo" && pwd)/digits.csv.gz
while [ $# -gt 0 ]; do
    case $1 in
    --models) models=${2:?--models needs a number} && shift ;;
    --targets) targets=${2:?--targets needs a number} && shift ;;
    --learner) learner=${2:?--learner needs knn or ridge} && shift ;;
    --build-dir)
        build_dir=$(cd "${2:?--build-dir needs a directory}" && pwd)
        PATH=$build_dir:$build_dir/tools/demo:$PATH
        shift
        ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit 0 ;;
    -*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
    *) output=$1 ;;
    esac
    shift
done

mkdir -p "$output"
cd "$output"
[ -f digits.csv ] || gzip -dc "$data" >digits.csv

# train STORE ARGUMENT...: a store of models, made if it is not there.
train() {
    [ -d "$1" ] || dmstore create "$1" --examples 1400 --output test_margins:397:f16 --meta "learner=$learner" >/dev/null
    digits train "$1" --data digits.csv --model "$learner" "${@:2}"
}

# ask REPORT COMMAND ARGUMENT...: asks the fit, and keeps the report. That weights are asked about larger
# training sets than they were fitted to is what this is about, and need not be warned of.
ask() {
    dmstore "$2" $learner-$models.dms $fit "${@:3}" >"$1" 2>warnings.txt || {
        cat warnings.txt >&2
        return 1
    }
}

fit=targets-$targets
train $learner-$models.dms --seed 1 --ids "0:$models"
if ! dmstore fits $learner-$models.dms $fit >/dev/null 2>&1; then
    echo "fitting $targets datamodels"
    dmstore fit $learner-$models.dms --output test_margins --name $fit --targets "0:$targets" --lambdas 40 \
        --validation $((models / 10)) --holdout $((models / 10)) >/dev/null
fi
name=$learner-$models-$targets

echo
echo "Sets of training images are removed, and models are trained again"
# The paper removes at most 1,280 of 50,000 images; 40 of 1,400 are as many.
removals=()
for kind in top bottom random; do
    for k in 5 10 20 40; do
        removals+=(--remove $kind:$k)
    done
done
ask changes-$name.txt counterfactual --target all "${removals[@]}" --plan changes-$name
train changes-$name.dms --plan changes-$name
ask changes-$name.txt counterfactual --target all "${removals[@]}" --actual changes-$name.dms
cat changes-$name.txt
echo "actual against predicted: Pearson $(awk '$1 == "all" { print $6 }' changes-$name.txt) (the paper: 0.96)"

echo
echo "How many images does a prediction hang on?"
# Training has no randomness here: one model tells all about its training set.
ask search-$name.txt support --target all --plan search-$name --grid 2,5,10,20,40,80,160,320 --repeats 1
train search-$name.dms --plan search-$name
ask search-$name.txt support --plan search-$name --actual search-$name.dms --confirm confirm-$name --repeats 1
sed -n '/^part/,$p' search-$name.txt
train confirm-$name.dms --plan confirm-$name
ask confirm-$name.txt support --plan confirm-$name --actual confirm-$name.dms
tail -n 2 confirm-$name.txt
echo "(the paper: 92% with 1.2 times as many)"
