#!/usr/bin/env bash
# `dmstore gram --products` keeps exact sums of masks times outputs, adds to them, notices outputs that have changed and what is
# damaged; fits that find them give the bytes of fits without.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# make_run STORE OUTPUTS.npy [CODEC]: the models of masks.npy with these outputs.
make_run() {
    rm -rf "$1"
    dmstore create "$1" --examples 150 --output y:40:f16 --output other:1:f32 --chunk-rows 256 --codec "${3:-none}" >/dev/null
    dmstore ingest "$1" --masks masks.npy --output y="$2" --output other=other.npy >/dev/null
}

products() { find run.dms/gram -name '*.products' | sort; }
only_file() { test "$(products | wc -l)" = 1; }

# same_sums DESCRIPTION OUTPUTS.npy [ROWS]: what the independent reader finds, against sums in integers.
same_sums() {
    if ! "$PYTHON" -c 'import zstandard, xxhash' 2>/dev/null; then
        skip "$1" "no xxhash"
        return
    fi
    python "$2" "${3:-900}" <<<'np.save("rows.npy", np.load(sys.argv[1])[:int(sys.argv[2])])'
    check "$1: fingerprints" env PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$DMSTORE_SOURCE_DIR/tests/reader/products.py" \
        "$(products)" --outputs rows.npy --export sums.npy
    check_python "$1: sums" <<'PYTHON'
outputs = np.load("rows.npy").astype(float)
masks = np.load("masks.npy")[:len(outputs)]
sums = np.load("sums.npy")
kept = np.isfinite(outputs).all(0) & (len(outputs) * np.abs(np.nan_to_num(outputs)).max(0) <= 2**28)
assert (np.isnan(sums) == ~kept).all(), np.isnan(sums).any(0).nonzero()
units = (outputs[:, kept] * 2**24).astype(np.int64)
assert (sums[:, kept] * 2**24 == masks.T.astype(np.int64) @ units).all()
PYTHON
}

check_python "outputs of all kinds" <<'PYTHON'
random = np.random.default_rng(1)
masks = np.argsort(random.random((900, 150)), axis=1) < np.where(np.arange(900) < 600, 75, 30)[:, None]
masks[:, 3], masks[:, 4] = False, True
y = (masks @ (random.normal(size=(150, 40)) * (random.random((150, 40)) < 0.1)) + random.normal(size=(900, 40)) / 4).astype(np.float16)
y[:, 1] = 0
y[:, 2] = -1.5
y[:, 5] = random.choice(np.array([6e-8, -6e-8, 0, 65504, -65504]), 900)
y[:, 7] *= 1000
clean = y.copy()
y[5, 3], y[6, 20], y[7, 20] = np.nan, np.inf, -np.inf
np.save("masks.npy", masks)
np.save("y.npy", y)
np.save("clean.npy", clean)
np.save("other.npy", clean[:, :1].astype(np.float32))
later = clean.copy()
later[17] += 1
np.save("later.npy", later)
PYTHON

# ---- sums ----

for codec in none zstd; do
    make_run run.dms y.npy $codec
    check "products, codec $codec" dmstore gram run.dms --output y --products --validation 0
    check_printed "of finite targets" "products with y: 38 of 40 targets"
    same_sums "codec $codec" y.npy
    check "verify checks them" dmstore verify run.dms
    check_printed "and says so" "2 files of counts and products"
done
cp "$(products)" whole.products
check "a second time" dmstore gram run.dms --output y --products --validation 0
check_printed "they are there" "were there"
for variant in ref avx2; do
    dmstore gram run.dms --remove >/dev/null
    DMS_KERNELS=$variant dmstore gram run.dms --output y --products --validation 0 --threads 3 >/dev/null
    check "the same bytes with kernels $variant" cmp "$(products)" whole.products
done
dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --output y --products --validation 0 >/dev/null
check "as JSON" dmstore gram run.dms --output y --products --validation 0 --json
check_line "there are products" '"kept_targets": 38,'
check "a list" dmstore gram run.dms --list
check_printed "has them, with the column" "products with y  900 models"
check "as JSON" dmstore gram run.dms --list --json
check_line "too" '"kind": "products",'

# ---- little memory ----

python <<<'np.save("many.npy", np.random.default_rng(2).normal(size=(900, 400)).astype(np.float16))'
dmstore create many.dms --examples 150 --output y:400:f16 --chunk-rows 256 >/dev/null
dmstore ingest many.dms --masks masks.npy --output y=many.npy >/dev/null
check "400 targets" dmstore gram many.dms --output y --products --validation 0
cp many.dms/gram/*.products many.products
dmstore gram many.dms --remove >/dev/null
check "with little memory" dmstore gram many.dms --output y --products --validation 0 --memory 3M
check_printed "in several passes" " passes"
check "the same bytes" cmp many.dms/gram/*.products many.products

# ---- models that come, and change ----

dmstore gram run.dms --remove >/dev/null
check "of 700 models" dmstore gram run.dms --output y --products --validation 0 --rows-used 700
same_sums "the first of them" y.npy 700
check "more models" dmstore gram run.dms --output y --products --validation 0
check_printed "are added" "those of 200 models added"
check "what was added to is gone" only_file
check "adding gives the bytes of making" cmp "$(products)" whole.products
cp whole.products "$(products | sed 's|/[^/.]*[.]|/00000000000000000000000000000000.|')"
check_status "a file of another name is noticed" 1 dmstore verify run.dms
check_printed "as such" "is of row set"

make_run run.dms clean.npy
dmstore gram run.dms --output y --products --validation 0 >/dev/null
dmstore gram run.dms --output y --products --validation 0 --rows-used 100 >/dev/null
check "an output that changes" dmstore ingest run.dms --masks masks.npy --output y=later.npy --output other=other.npy \
    --on-duplicate replace
check "is noticed" dmstore gram run.dms --output y --products --validation 0
check_printed "and not added to" "made in"
dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --output y --products --validation 0 --rows-used 800 >/dev/null
same_sums "what came in its place" later.npy 800

# ---- fits ----

# fit STORE NAME [OPTION...]: exports everything of it to NAME/.
fit() {
    dmstore fit "$1" --name "$2" --output y --holdout 50 --lambdas 20 "${@:3}" >/dev/null &&
        dmstore export-fit "$1" "$2" -o "$2" >/dev/null
}
same_fits() { diff -r -x '*.json' "$1" "$2"; } # but for when and how
make_run run.dms y.npy
for solver in gram ridge; do
    check "$solver without products" fit run.dms $solver --solver $solver
done
check "gram in blocks" fit run.dms blocks --solver gram --memory 3M
python <<<'np.save("self.npy", np.arange(40))'
check "with models left out" fit run.dms self --solver gram --exclude-self --self self.npy
check "products of a fit" dmstore gram run.dms --fit gram --products
check_printed "of its validation models, too" "validation, products with y: 40 of 40"
for solver in gram ridge; do
    check "$solver with products" fit run.dms $solver-kept --solver $solver
    check "gives the same bytes" same_fits $solver $solver-kept
done
check "in blocks" fit run.dms blocks-kept --solver gram --memory 3M
check "too" same_fits blocks blocks-kept
check "targets from the middle" fit run.dms middle --solver gram --targets 19:31
check_python "have their own products" <<'PYTHON'
assert (np.load("middle/weight.npy") == np.load("gram/weight.npy")[:, 19:31]).all()
PYTHON
check "leaving out models that have seen the target" fit run.dms self-kept --solver gram --exclude-self --self self.npy
check "takes no products, which are of all models" same_fits self self-kept

# Stale products are not taken: the outputs of one model have changed since.
make_run late.dms later.npy
check "of later outputs" fit late.dms late --solver gram
make_run run.dms clean.npy
check "products" dmstore gram run.dms --output y --products --holdout 50
dmstore ingest run.dms --masks masks.npy --output y=later.npy --output other=other.npy --on-duplicate replace >/dev/null
check "a fit of changed outputs" fit run.dms changed --solver gram
check "takes none that are of others" same_fits late changed

# ---- damage ----

dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --output y --products --validation 0 >/dev/null
file=$(products)
size=$(stat -c %s "$file")
cp "$file" good.products
damage() { # OFFSET
    cp good.products "$file"
    printf '\xa5' | dd of="$file" bs=1 seek="$1" conv=notrunc status=none
}
again() { dmstore gram run.dms --output y --products --validation 0; }
damage 40
check_error "a damaged head is noticed" 1 "its head is damaged" again
check_status "by verify, too" 1 dmstore verify run.dms
check_printed "with the file" "its head is damaged"
damage 200
check_error "damaged lists" 1 "its lists are damaged" again
damage $((size - 5))
check_status "damaged sums" 1 dmstore verify run.dms
check_printed "with target and offset" "checksum mismatch in target 39 at offset 0x"
check_error "a fit that needs them" 1 "checksum mismatch in target 39" \
    dmstore fit run.dms --output y --name damaged --validation 0 --lambdas 3 --solver gram
check "one that does not goes on" dmstore fit run.dms --output y --name sound --validation 0 --lambdas 3 --solver gram --targets :16
cp good.products "$file" && truncate -s $((size - 100)) "$file"
check_error "a file that is cut short" 1 "bytes, not" again
check "the list tells of it" dmstore gram run.dms --list
check_printed "as of no use" "products with y  CANNOT BE USED"
rm "$file"
mkfifo "$file"
check_error "a pipe in its place is told of at once" 1 "it is no regular file: remove it with 'dmstore gram --remove'" \
    timeout -s KILL 20 "$DMSTORE" gram run.dms --output y --products --validation 0
check_status "by verify, too" 1 timeout -s KILL 20 "$DMSTORE" verify run.dms
check_printed "as what it is" "it is no regular file"
check "removed" dmstore gram run.dms --remove
check "they can be made again" again
same_sums_as_good() { cmp -i 128 "$(products)" good.products; } # the head has the commit, which the fit has made another
check "as they were" same_sums_as_good

# ---- manifests, several processes, the command line ----

dmstore snapshot run.dms -o run.manifest >/dev/null
check "by way of a manifest" dmstore gram run.manifest --output y --products --validation 0
check_printed "products that are there are found" "were there"
dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --validation 0 >/dev/null
check_error "others are not made" 1 "a manifest is for reading" dmstore gram run.manifest --output y --products --validation 0
check_output "nor begun" 1 sh -c 'ls run.dms/gram | wc -l'

dmstore gram run.dms --remove >/dev/null
again >first.txt & first=$!
again >second.txt & second=$!
check "of two at once one" wait $first
check "and the other succeed" wait $second
check "with one file" same_sums_as_good
# Products that are removed at once serve the process that made them.
remove_again_and_again() {
    while [ ! -e enough ]; do dmstore gram run.dms --remove >/dev/null; done
}
make_again_and_again() {
    for _ in $(seq 30); do again >/dev/null || return 1; done
}
remove_again_and_again & remover=$!
check "making them while others remove" make_again_and_again
touch enough
wait $remover
echo nonsense >"run.dms/gram/$(printf '%032d' 7).3.products.tmp"
dmstore gram run.dms --output y --products --validation 0 --rows-used 100 >/dev/null
check_output "what a killed process left is taken away" "" find run.dms/gram -name '*.tmp'
check_error "products of no output" 2 "Give --output or --fit" dmstore gram run.dms --products
check_error "of a float32 column" 1 "which column 'other' is not" dmstore gram run.dms --output other --products
check_error "--list and --products" 2 "count nothing" dmstore gram run.dms --list --products
done_testing
