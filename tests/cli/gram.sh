#!/usr/bin/env bash
# `dmstore gram` counts pairs exactly, for masks of any kind, keeps and adds to what it has counted, and notices what is damaged.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

# make_run STORE MASKS.npy [CODEC]: models with these masks and an output.
make_run() {
    python "$2" <<'PYTHON'
masks = np.load(sys.argv[1])
np.save("y.npy", np.arange(len(masks), dtype=np.float32)[:, None])
print(masks.shape[1])
PYTHON
    dmstore create "$1" --examples "$(python "$2" <<<'print(np.load(sys.argv[1]).shape[1])')" --output y:1:f32 \
        --chunk-rows 256 --codec "${3:-none}" >/dev/null
    dmstore ingest "$1" --masks "$2" --output y=y.npy >/dev/null
} >/dev/null

# same_pairs DESCRIPTION FILE.npy MASKS.npy ROWS: counts of the first rows, against NumPy.
same_pairs() {
    check_python "$1" "$2" "$3" "$4" <<'PYTHON'
counts, masks = np.load(sys.argv[1]), np.load(sys.argv[3 - 1])[:int(sys.argv[3])].astype(np.int64)
assert counts.dtype == np.uint32 and counts.shape == (masks.shape[1],) * 2
assert (counts == masks.T @ masks).all()
PYTHON
}

files() { find run.dms/gram -name '*.pairs' | sort; }
only_file() { test "$(files | wc -l)" = 1 && files; }

# ---- masks of any kind ----

check_python "masks" <<'PYTHON'
random = np.random.default_rng(1)
halves = np.argsort(random.random((900, 300)), axis=1) < 150
np.save("halves.npy", halves)
rates = np.where(np.arange(515) % 3 == 0, 0.99, np.where(np.arange(515) % 3 == 1, 0.01, 0.4))
mixed = random.random((1100, 515)) < rates
mixed[:, 7] = False
mixed[:, 8] = True
mixed[:, 9:40] = mixed[:, 40:41]
np.save("mixed.npy", mixed)
np.save("tiny.npy", random.random((70, 3)) < 0.5)
np.save("single.npy", np.ones((1, 1), bool))
PYTHON
for kind in halves mixed tiny; do
    for codec in none zstd; do
        make_run run.dms $kind.npy $codec
        check "$kind masks, codec $codec, are counted" dmstore gram run.dms --validation 0 -o pairs.npy
        check_printed "counted, it says" "counted in"
        same_pairs "they are as NumPy counts them" pairs.npy $kind.npy 2000
        if "$PYTHON" -c 'import zstandard, xxhash' 2>/dev/null; then
            check "the independent reader reads them" env PYTHONDONTWRITEBYTECODE=1 "$PYTHON" \
                "$DMSTORE_SOURCE_DIR/tests/reader/pairs.py" "$(files)" --export theirs.npy
            check "and finds the same" cmp pairs.npy theirs.npy
        fi
        check "verify checks them" dmstore verify run.dms
        check_printed "and says so" "1 file of counts"
        rm -r run.dms
    done
done
make_run run.dms single.npy
check "one model of one example" dmstore gram run.dms --validation 0 -o pairs.npy
same_pairs "is counted" pairs.npy single.npy 1
rm -r run.dms

# ---- which models ----

make_run run.dms halves.npy
check "training and validation models, as of a fit" dmstore gram run.dms --output y --holdout 100
check_printed "those that train" "training: 720 models"
check_printed "those that validate" "validation: 80 models"
check "a fit of the same models" dmstore fit run.dms --output y --name f --holdout 100 --lambdas 3
check "needs no other counts" dmstore gram run.dms --fit f
check_printed "they are there" "training: 720 models, "
check_printed "and not counted again" "was there"
check "with --json" dmstore gram run.dms --fit f --json
check_line "they are found" '"origin": "found",'
check "of some training models" dmstore gram run.dms --holdout 100 --rows-used 500 -o pairs.npy
same_pairs "the first of them are counted" pairs.npy halves.npy 500
dmstore gram run.dms --holdout 100 --rows-used 500 -o - >printed.npy
check_same "they can be printed, and nothing with them" printed.npy pairs.npy
check_error "but not with --json" 2 "cannot both be printed" dmstore gram run.dms -o - --json
check "a list" dmstore gram run.dms --list
check_printed "has the first models" "500 models, ids 0 to 499"
check_printed "and the others" "80 models, ids 720 to 799"
check "info tells of them" dmstore info run.dms
check_printed "in short" "counts, products 3 files"
check "as JSON" dmstore gram run.dms --list --json
check_line "with their models" '"models": 500,'
check "they are removed" dmstore gram run.dms --remove
check_output "none is left" "" dmstore gram run.dms --list
check_output "they can be removed twice" "0 B removed" dmstore gram run.dms --remove

# ---- models that come ----

check "counts of 500" dmstore gram run.dms --validation 0 --rows-used 500
check "more models" dmstore gram run.dms --validation 0
check_printed "are added" "400 added"
check "what was added to is gone" only_file
cp "$(files)" added.pairs
dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --validation 0 >/dev/null
check "adding gives the bytes of counting" cmp "$(files)" added.pairs
check "in several passes" dmstore gram run.dms --remove
check "too" dmstore gram run.dms --validation 0 --memory 3M --threads 1
check_printed "there were some" "passes"
check "the same bytes" cmp "$(files)" added.pairs
dmstore gram run.dms --remove >/dev/null
check "with more threads than fit" dmstore gram run.dms --validation 0 --memory 4M --threads 32
check "some of them count" cmp "$(files)" added.pairs
check_error "too little memory says how much it takes" 1 "MiB of memory at least" \
    dmstore gram run.dms --rows-used 10 --memory 1M
for variant in ref avx2; do
    dmstore gram run.dms --remove >/dev/null
    DMS_KERNELS=$variant dmstore gram run.dms --validation 0 >/dev/null
    check "the same bytes with kernels $variant" cmp "$(files)" added.pairs
done

# Models that are gone, or have other masks, are not those of the file.
dmstore rm run.dms --ids 3 >/dev/null
check "after rm" dmstore gram run.dms --validation 0 -o pairs.npy
check_printed "all are counted anew" "899 models"
check_printed "since counts cannot be taken away" "counted in"
check_python "they are right" <<'PYTHON'
masks = np.delete(np.load("halves.npy"), 3, axis=0).astype(np.int64)
assert (np.load("pairs.npy") == masks.T @ masks).all()
PYTHON
check "the file of all models stays right" dmstore verify run.dms
check "after compact" dmstore compact run.dms --all
check "the counts are those of the same models" dmstore gram run.dms --validation 0
check_printed "found" "was there"

# ---- damage ----

rm -r run.dms/gram
dmstore gram run.dms --validation 0 >/dev/null
file=$(files)
size=$(stat -c %s "$file")
cp "$file" good.pairs
damage() { # OFFSET
    cp good.pairs "$file"
    printf '\xa5' | dd of="$file" bs=1 seek="$1" conv=notrunc status=none
}
damage 40
check_error "a damaged head is noticed" 1 "its head is damaged" dmstore gram run.dms --validation 0
check_status "by verify, too" 1 dmstore verify run.dms
check_printed "with the file" "its head is damaged"
damage 200
check_error "damaged lists" 1 "its lists are damaged" dmstore gram run.dms --validation 0
damage $((size - 5))
check_error "a damaged tile, with its offset" 1 "checksum mismatch in tile 5 at offset 0x" \
    dmstore gram run.dms --validation 0 -o pairs.npy
check "the list does not read tiles" dmstore gram run.dms --list
check_status "verify does" 1 dmstore verify run.dms
check_printed "and names the tile" "checksum mismatch in tile 5"
cp good.pairs "$file" && truncate -s $((size - 100)) "$file"
check_error "a file that is cut short" 1 "bytes, not" dmstore gram run.dms --validation 0
truncate -s 10 "$file"
check_error "even before its head ends" 1 "cut off" dmstore gram run.dms --validation 0
check "the list tells of it" dmstore gram run.dms --list
check_printed "as one that is of no use" "CANNOT BE USED"
cp good.pairs "run.dms/gram/$(printf '%032d' 0).pairs"
check_status "a file of another name is noticed" 1 dmstore verify run.dms
check "removed, damaged or not" dmstore gram run.dms --remove
check "they can be made again" dmstore gram run.dms --validation 0
check "as they were" cmp "$(files)" good.pairs

# What is no file is told of at once: nobody waits for the other end of a pipe.
rm "$file"
mkfifo "$file"
check_status "a pipe in its place is noticed" 1 timeout -s KILL 20 "$DMSTORE" verify run.dms
check_printed "as what it is" "it is no regular file"
check "the list tells of it" timeout -s KILL 20 "$DMSTORE" gram run.dms --list
check "so does info" timeout -s KILL 20 "$DMSTORE" info run.dms
check_error "counting says what to do" 1 "it is no regular file: remove it with 'dmstore gram --remove'" \
    timeout -s KILL 20 "$DMSTORE" gram run.dms --validation 0
check_error "so does a fit" 1 "it is no regular file: remove it with 'dmstore gram --remove'" \
    timeout -s KILL 20 "$DMSTORE" fit run.dms --output y --name p --validation 0 -o p.part
mv "$file" "$file.tmp"
check "a pipe that a killed process might have left is taken away" timeout -s KILL 20 "$DMSTORE" gram run.dms --rows-used 9 --validation 0
check_output "it is gone" "" find run.dms/gram -name '*.tmp'
mkdir "$file"
check "a list with a directory in it" dmstore gram run.dms --list
check_printed "tells of the others, too" "9 models, ids 0 to"
rmdir "$file"

# Counts that somebody else made for himself alone.
if [ "$(id -u)" -eq 0 ] && setpriv --reuid 65534 --clear-groups "$DMSTORE" --version >/dev/null 2>&1; then
    nobody() { setpriv --reuid 65534 --clear-groups "$DMSTORE" "$@"; }
    chmod 755 .
    mkdir -m 777 theirs
    chmod 666 run.dms/lmdb/lock.mdb
    dmstore gram run.dms --remove >/dev/null
    dmstore gram run.dms --validation 0 >/dev/null
    chmod 600 "$file"
    check_error "others cannot count into it" 1 "cannot open" nobody gram run.dms --validation 0
    check "but fit, with counts in memory" nobody fit run.dms --output y --name p --lambdas 3 --validation 0 -o theirs/p.part
    check "and list" nobody gram run.dms --list
    check_printed "what cannot be used" "Permission denied"
    chmod 700 run.dms/gram
    check "so where the directory cannot be read" nobody fit run.dms --output y --name q --lambdas 3 --validation 0 -o theirs/q.part
    check "info tells of the rest" nobody info run.dms
    check_error "the list cannot" 1 "cannot read directory 'run.dms/gram'" nobody gram run.dms --list
    chmod 755 run.dms/gram
else
    skip "counts of another user" "it takes root and setpriv"
fi

# ---- several processes ----

dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --validation 0 >first.txt & first=$!
dmstore gram run.dms --validation 0 >second.txt & second=$!
check "of two at once one" wait $first
check "and the other succeed" wait $second
check "with one file" cmp "$(only_file)" good.pairs
check_output "and nothing else" "$(files)" find run.dms/gram -type f

dmstore gram run.dms --remove >/dev/null
(
    exec 9>"$file.tmp"
    flock 9
    sleep 1
) &
check "a file that somebody writes is waited for" dmstore gram run.dms --validation 0
check "and then made" cmp "$(files)" good.pairs
# Counts that are removed at once serve the process that made them.
remove_again_and_again() {
    while [ ! -e enough ]; do dmstore gram run.dms --remove >/dev/null; done
}
count_again_and_again() {
    for _ in $(seq 50); do dmstore gram run.dms --validation 0 --threads 1 >/dev/null || return 1; done
}
remove_again_and_again & remover=$!
check "counting while others remove" count_again_and_again
touch enough
wait $remover
dmstore gram run.dms --validation 0 >/dev/null
echo nonsense >"run.dms/gram/$(printf '%032d' 7).pairs.tmp"
dmstore gram run.dms --rows-used 100 --validation 0 >/dev/null
check_output "what a killed process left is taken away" "" find run.dms/gram -name '*.tmp'

# ---- the command line ----

check_error "--list and --remove" 2 "two things" dmstore gram run.dms --list --remove
check_error "--remove and options of counting" 2 "count nothing" dmstore gram run.dms --remove --output y
check_error "--fit and options of choice" 2 "has its models already" dmstore gram run.dms --fit f --holdout 3
check_error "no such fit" 1 "f" dmstore gram run.dms --fit g
check_error "no such column" 1 "z" dmstore gram run.dms --output z
check_error "no training models" 1 "no models are left" dmstore gram run.dms --validation 899
check_error "no store" 1 "nowhere" dmstore gram nowhere --list

# ---- manifests ----

dmstore gram run.dms --remove >/dev/null
dmstore snapshot run.dms -o run.manifest >/dev/null
check_error "by way of a manifest nothing is kept" 1 "is for reading" dmstore gram run.manifest --validation 0
check "an array can be written" dmstore gram run.manifest --validation 0 -o pairs.npy
check_printed "of counts in memory" "not kept: counted in"
check_python "they are right" <<'PYTHON'
masks = np.delete(np.load("halves.npy"), 3, axis=0).astype(np.int64)
assert (np.load("pairs.npy") == masks.T @ masks).all()
PYTHON
part=(--output y --name p --holdout 99 --lambdas 3 --solver gram)
check "a part of a fit" dmstore fit run.manifest "${part[@]}" -o memory.dmfit
check_output "writes no counts" "" find run.dms/gram -type f
check_output "the list is that of the store" "$(dmstore gram run.dms --list)" dmstore gram run.manifest --list
check "when the store has counts" dmstore gram run.dms --output y --holdout 99
check_output "they are listed" "$(dmstore gram run.dms --list)" dmstore gram run.manifest --list
check "info tells of them" dmstore info run.manifest
check_printed "too" "counts, products 2 files"
check "counting" dmstore gram run.manifest --output y --holdout 99
check_printed "finds them" "was there"
check "and so does a fit" dmstore fit run.manifest "${part[@]}" -o file.dmfit
printf x >>"$(files | head -n 1)"
check_error "which notices one that is damaged" 1 "remove it with 'dmstore gram --remove'" \
    dmstore fit run.manifest "${part[@]}" -o damaged.dmfit
dmstore gram run.dms --remove >/dev/null
dmstore gram run.dms --output y --holdout 99 >/dev/null
check_python "models that come" <<<'np.save("more.npy", ~np.load("halves.npy"))'
dmstore ingest run.dms --masks more.npy --output y=y.npy --first-id 2000 >/dev/null
dmstore snapshot run.dms -o run.manifest >/dev/null
before=$(files)
check "are added to those that are there" dmstore gram run.manifest --output y --holdout 99 -o pairs.npy
check_printed "in memory" "not kept: "
check_printed "which has only the others counted" " added in"
check_output "and no file is touched" "$before" files
check_error "they are not removed by way of a manifest" 1 "remove files in the store itself" \
    dmstore gram run.manifest --remove
check_output "none is" "$before" files
done_testing
