#!/usr/bin/env bash
# dmstore export: order of rows, staged and removed rows, wide columns, manifests, and what it refuses.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

python <<'END'
rng = np.random.default_rng(4)
m = 400
np.save("masks.npy", rng.random((m, 77)) < 0.5)
np.save("margins.npy", rng.normal(size=(m, 3000)).astype(np.float16))
np.save("ids.npy", rng.permutation(m))
END
dmstore create store --examples 77 --output margins:3000 --output later:2:u8 --scalar host:s4 --chunk-rows 64 --codec zstd
dmstore ingest store --masks masks.npy --output margins=margins.npy --ids ids.npy --rows :300 >/dev/null
python <<'END' | dmstore append store --format jsonl >/dev/null
import json
masks, margins, ids = np.load("masks.npy"), np.load("margins.npy"), np.load("ids.npy")
for i in range(300, 400):
    print(json.dumps({"id": int(ids[i]), "mask": np.flatnonzero(masks[i]).tolist(),
                      "outputs": {"margins": margins[i].astype(float).tolist()}}))
END
check "sealed and staged rows in any order" dmstore export store --masks out_masks.npy --output margins=out_margins.npy \
    --ids out_ids.npy
check_python "come out by id" <<'END'
order = np.argsort(np.load("ids.npy"))
assert bits(np.load("out_ids.npy")) == bits(np.arange(400, dtype=np.uint64))
assert bits(np.load("out_masks.npy")) == bits(np.load("masks.npy")[order])
assert bits(np.load("out_margins.npy")) == bits(np.load("margins.npy")[order])
END
dmstore snapshot store -o manifest >/dev/null
dmstore rm store --ids 0-9,55,399 >/dev/null
check "removed rows" dmstore export store --masks out_masks.npy --output margins=out_margins.npy --ids out_ids.npy --json
cp "$stdout_file" report.json
check_python "are left out" report.json <<'END'
import json
rest = np.setdiff1d(np.arange(400), [*range(10), 55, 399])
order = np.argsort(np.load("ids.npy"))[rest]
assert bits(np.load("out_ids.npy")) == bits(rest.astype(np.uint64))
assert bits(np.load("out_masks.npy")) == bits(np.load("masks.npy")[order])
assert bits(np.load("out_margins.npy")) == bits(np.load("margins.npy")[order])
assert json.load(open(sys.argv[1]))["models"] == 388
END
check "a manifest" dmstore export manifest --ids manifest_ids.npy
check_python "still has them" <<'END'
assert bits(np.load("manifest_ids.npy")) == bits(np.arange(400, dtype=np.uint64))
END
dmstore create nothing --examples 9 --output margins:4
check "an empty store" dmstore export nothing --masks none.npy --output margins=none_margins.npy --ids none_ids.npy
check_python "gives arrays of no rows" <<'END'
assert np.load("none.npy").shape == (0, 9) and np.load("none_margins.npy").shape == (0, 4)
assert np.load("none_ids.npy").shape == (0,)
END
mkdir there
ln -s there/real.npy link.npy
echo old >there/real.npy
check "through a symbolic link" dmstore export store --ids link.npy
if [ -L link.npy ] && cmp -s there/real.npy out_ids.npy; then
    pass "the file it names is replaced"
else
    fail "the file it names is replaced" "$(ls -l . there)"
fi

check_error "a column without values names the first model" 1 "model 10" dmstore export store --output later=later.npy
check "--fill-missing" dmstore export store --output later=later.npy --scalar host=host.npy --fill-missing
check_python "writes zeros where there is no NaN" <<'END'
assert bits(np.load("later.npy")) == bits(np.zeros((388, 2), np.uint8))
assert bits(np.load("host.npy")) == bits(np.zeros(388, "S4"))
END
rm -f later.npy
check_error "nothing to write" 2 "--masks" dmstore export store
check_error "--packed-masks alone" 2 "--packed-masks" dmstore export store --packed-masks --ids x.npy
check_error "no file name" 2 "NAME=FILE" dmstore export store --output margins
check_error "standard output" 2 "standard output" dmstore export store --ids -
check_error "one file for two columns" 1 "both.npy" dmstore export store --ids both.npy --masks both.npy
check_error "a column that is not there" 1 "nosuch" dmstore export store --output nosuch=x.npy
check_error "a scalar as output" 1 "host" dmstore export store --output host=x.npy
check_error "a store that is not there" 1 "absent" dmstore export absent --ids x.npy
check_error "a directory that is not there" 1 "absent" dmstore export store --ids absent/x.npy
check_error "a directory as file" 1 "regular" dmstore export store --ids there
echo before >kept.npy
check_error "one wrong file of two" 1 "absent" dmstore export store --ids kept.npy --masks absent/x.npy
check_output "leaves the other as it was" before cat kept.npy
if [ -z "$(ls | grep tmp)" ]; then pass "and no temporary files"; else fail "and no temporary files" "$(ls)"; fi
done_testing
