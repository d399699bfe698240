#!/usr/bin/env bash
# From a fresh checkout to datamodels of real models: builds dmstore, trains 21,000 models on random halves of 1,400 images
# of handwritten digits in several processes that append to one store, fits a datamodel for each of 397 other images,
# evaluates them on models that were held out, draws which training images help and harm, asks them some questions, and
# writes a page about them. Every command is shown before it runs. Takes a build and two or three minutes, and changes
# nothing outside DIR, except that it installs the packages that a build needs where they are missing (root or sudo).
#
#   tools/quickstart.sh [--build-dir DIR]     DIR: default build/quickstart in the source tree
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=$source_dir/build/quickstart
case "${1-}" in
'') ;;
--build-dir) build_dir=${2:?--build-dir needs a directory} ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
    [ "$1" = --help ] || [ "$1" = -h ] && exit 0
    exit 2
    ;;
esac

say() {
    printf '\n%s\n' "$*"
}

show() { # a command as it could be pasted
    printf '  $ %s\n' "$*"
}

go() { # to a directory
    show cd "$1"
    cd "$1"
}

run() { # shows a command, then runs it
    show "$@"
    "$@"
}

quietly() { # runs a step of the build; its output goes to a log that is shown when it fails
    local log=$build_dir/$1.log
    shift
    show "$@"
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log"
        echo "quickstart: this failed; all of its output is in $log" >&2
        exit 1
    }
}

# start_worker FIRST END: trains models FIRST to END - 1 in the background; sets $worker to its process.
start_worker() {
    show digits train digits.dms --data digits.csv --seed 1 --ids "$1:$2" '&'
    digits train digits.dms --data digits.csv --seed 1 --ids "$1:$2" &
    worker=$!
}

# Whether none of the models FIRST to FIRST + COUNT - 1 is in the store.
none_of() {
    [ "$(dmstore missing digits.dms --first-id "$1" --count "$2")" = "$1-$(($1 + $2 - 1))" ]
}

say "1. What a build needs: a C compiler, autotools, LMDB, Zstandard, xxHash."
run "$source_dir/tools/install-dependencies.sh" build

say "2. Building in $build_dir."
mkdir -p "$build_dir"
build_dir=$(cd "$build_dir" && pwd)
go "$source_dir"
quietly autoreconf autoreconf -fi
go "$build_dir"
quietly configure "$source_dir/configure"
quietly make make -j"$(nproc)" all

rm -rf "$build_dir/example" # of an earlier run
mkdir "$build_dir/example"

say "3. The data: 1,797 images of handwritten digits (UCI, CC BY 4.0), 1,400 to train on and 397 to ask about; and an empty
   store for models that are trained on some of the 1,400 and have a margin (by how much the right digit wins) on the 397."
go "$build_dir/example"
PATH=$build_dir:$build_dir/tools/demo:$PATH
show "export PATH=$build_dir:$build_dir/tools/demo:\$PATH"
show "gzip -dc $source_dir/tools/demo/digits.csv.gz >digits.csv"
gzip -dc "$source_dir/tools/demo/digits.csv.gz" >digits.csv
run dmstore create digits.dms --examples 1400 --output test_margins:397:f16 --scalar accuracy:f32 --meta dataset=digits \
    --meta algorithm=knn

say "4. A training farm of four processes. Each trains real models (10 nearest neighbours, weighted by distance), every model on
   its own random half of the images, and appends them to the one store."
seconds=$SECONDS
start_worker 0 5250
workers=("$worker")
start_worker 5250 10500
workers+=("$worker")
start_worker 10500 15750
workers+=("$worker")
start_worker 15750 21000

say "   The last one is killed at its work. What it had appended is on disk, and the others go on."
while kill -0 "$worker" 2>/dev/null && none_of 15750 5250; do
    sleep 0.02
done
show kill -9 "$worker"
{ kill -9 "$worker" && wait "$worker"; } 2>/dev/null || true # it may have been faster
for worker in "${workers[@]}"; do
    wait "$worker"
done
say "   Which models are missing? The same command again trains just those."
run dmstore missing digits.dms --count 21000
run digits train digits.dms --data digits.csv --seed 1 --ids 15750:21000
echo "   All of it took $((SECONDS - seconds)) seconds."

say "5. Every byte of the store is checked; and what is in it."
run dmstore verify digits.dms
run dmstore info digits.dms

say "6. A datamodel for each of the 397 images: the margin as a sparse linear function of which training images a model had.
   The last 1,000 models are never looked at, the 2,000 before them choose how sparse."
seconds=$SECONDS
run dmstore fit digits.dms --output test_margins --name knn --holdout 1000 --validation 2000 --lambda-min-ratio 0.001
echo "   That took $((SECONDS - seconds)) seconds."

say "7. Do they predict what models do that they have never seen? LDS is the rank correlation of prediction and outcome over the
   models held out, R^2 the part of the variance that is explained; both are means over the images."
run dmstore eval digits.dms knn

say "8. What do they say? Three images, each beside the training images that help it and harm it most."
run digits show digits.dms knn --data digits.csv

say "9. Datamodels answer questions without a model being trained: which images make this 5 a 5; what removing them would do;
   on how few images a prediction hangs; and how much is lost with a simpler estimate, the difference of two means."
run digits files --data digits.csv -o files
about=(--names files/train_names.txt --target-names files/names.txt)
run dmstore top digits.dms knn --target 210 -k 5 "${about[@]}"
run dmstore counterfactual digits.dms knn --target 210 --remove top:10 --remove bottom:10
run dmstore support digits.dms knn --target 208:214
run dmstore influence digits.dms --output test_margins --name influence --holdout 1000
run dmstore eval digits.dms knn influence

say "10. The same as NumPy arrays. The subsets are those that 'dmstore sample' draws, so a second store needs 16 bytes for each."
run dmstore export digits.dms --masks masks.npy --output test_margins=test_margins.npy
run dmstore sample --examples 1400 --alpha 0.5 --seed 1 --count 21000 -o drawn.npy
run cmp masks.npy drawn.npy
run dmstore create small.dms --examples 1400 --output test_margins:397:f16
run dmstore ingest small.dms --masks masks.npy --output test_margins=test_margins.npy --sampled 0.5:1
run du -sh masks.npy test_margins.npy digits.dms small.dms

say "11. All of it on one page, for the browser."
run dmstore report digits.dms knn -o report.html --images files/train_images.npy --target-images files/images.npy \
    "${about[@]}" --labels files/train_labels.npy --target-labels files/labels.npy

cat <<END

That was it. Open the page:  file://$build_dir/example/report.html

What to try next, in $build_dir/example:

  export PATH=$build_dir:$build_dir/tools/demo:\$PATH
  digits show digits.dms knn --data digits.csv --target 101     another image
  dmstore fits digits.dms knn                                   what the fit was made of
  dmstore leakage digits.dms knn                                images that may be near-duplicates of training images
  dmstore embed digits.dms knn --pca 10 -o z.npy                what the images depend on, in ten numbers each
  dmstore export-fit digits.dms knn -o knn                      its weights as NumPy files
  dmstore get digits.dms --id 7                                 one model: its subset and its margins
  dmstore compact digits.dms --codec zstd:3                     smaller, for the archive
  digits train --help                                           other models: ridge classifiers, other sizes of subset
  dmstore --help                                                all commands; each has --help and a man page

Really remove images, retrain, and compare with what was predicted:
  $source_dir/tools/examples/confirm_counterfactuals.sh --build-dir $build_dir

To install it under /usr/local:  make -C $build_dir install
To run all of its tests:         $source_dir/tools/check.sh
END
