#!/usr/bin/env bash
# Fits in a store from the command line: merge-fits, fits, export-fit and rm-fit, and what other commands say of fits. The
# parts are made up by make_part.c, next to this file.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

make_part() {
    "$DMSTORE_BUILD_DIR/tests/cli/make_part" "$@"
}

create_small run.dms
append_small run.dms 0 1 2 3 4 5
make_part run.dms main margins 0 1 part-0.dmfit lambdas=100 standardize=true
make_part run.dms main margins 1 3 part-1.dmfit lambdas=100 standardize=true

# ---- merge-fits ----------------------------------------------------------------------------------------------------

check_output "a store without fits has none" "FIT" awk '{ print $1 }' <(dmstore fits run.dms)
check_output "merge-fits tells what it added" "part-1.dmfit: fit main: 2 targets added
part-0.dmfit: fit main: 1 target added" dmstore merge-fits run.dms part-1.dmfit part-0.dmfit
check_output "a part again adds nothing" "part-1.dmfit: fit main: 0 targets added, 2 there already" \
    dmstore merge-fits run.dms part-1.dmfit
make_part run.dms main margins 0 1 other.dmfit lambdas=50 standardize=true
check_error "another problem is refused, by its first difference" 1 \
    "'other.dmfit': fit 'main' was begun with lambdas = 100, this job has 50" dmstore merge-fits run.dms other.dmfit
create_small elsewhere.dms
check_error "so is a part for another store" 1 "another store" dmstore merge-fits elsewhere.dms part-0.dmfit
head -c 700 part-0.dmfit >cut.dmfit
check_error "and a damaged part" 1 "'cut.dmfit' is no part of a fit that can be used" dmstore merge-fits run.dms cut.dmfit
check_error "and another file" 1 "is no part of a fit" dmstore merge-fits run.dms "$stdout_file"
check_error "and one that is not there" 1 "none.dmfit" dmstore merge-fits run.dms none.dmfit
make_part run.dms spare margins 2 3 spare.dmfit
check "merge-fits --json" dmstore merge-fits run.dms spare.dmfit part-0.dmfit --json
cp "$stdout_file" merged.json
check_python "is JSON" merged.json <<'END'
import json
parts = json.load(open(sys.argv[1]))["parts"]
assert parts[0] == {"part": "spare.dmfit", "fit": "spare", "added": 1, "unchanged": 0}, parts
assert parts[1]["unchanged"] == 1
END

# ---- fits ----------------------------------------------------------------------------------------------------------

check "fits lists the fits" dmstore fits run.dms
sed 's/ [0-9-]* [0-9:]*Z$//' "$stdout_file" >listed
check_output "main has three of three targets" "main margins lasso 3/3 4 1 1 2 0.12 1.0 2" \
    awk '$1 == "main" { $1 = $1; print }' listed
check_output "spare has one" "spare margins lasso 1/3 4 1 1 0 0.12 2.0 1" awk '$1 == "spare" { $1 = $1; print }' listed
check "fits tells all of one" dmstore fits run.dms main
check_line "its training models" "training 4 models, ids 0-3"
check_line "its held-out model" "held out 1 model, ids 5"
check_line "its problem" "standardize = true"
check_line "how many are certified" "certified 2, worst gap 0.125"
check_printed "its parts, as they were added" "part 1: 2 targets of 1 to 2"
check_line "with their provenance" "host = gpu01"
check "fits --targets" dmstore fits run.dms main --targets 1:3
check_line "lists a target" "1 0.5 0.5 2/2 1 1e-05 1 5 refitted"
check_line "with its flags" "2 1 0.333333 2/2 2 0.12 1 5 uncertified,refitted"
cp "$stdout_file" listed
check_output "and no others" 3 grep -c . listed
check_error "--targets needs a fit" 2 "name of a fit" dmstore fits run.dms --targets 0:1
check_error "and a range" 2 "not a range" dmstore fits run.dms main --targets x
check_error "a fit that is not there" 1 "there is no fit 'none': store" dmstore fits run.dms none
check "fits --json" dmstore fits run.dms --json
cp "$stdout_file" fits.json
check "fits FIT --json" dmstore fits run.dms main --json
cp "$stdout_file" main.json
check "fits FIT --targets --json" dmstore fits run.dms main --targets :1 --json
cp "$stdout_file" targets.json
check_python "are JSON" targets.json <<'END'
import json
fits = json.load(open("fits.json"))["fits"]
assert [fit["name"] for fit in fits] == ["main", "spare"] and fits[0]["parts"] == 2, fits
main = json.load(open("main.json"))
assert main["models"]["training"]["ranges"] == [[0, 3]] and main["problem"]["lambdas"] == "100", main
assert main["parts"][0]["provenance"]["seed"] == "7" and main["certified"] == 2
targets = json.load(open(sys.argv[1]))["targets"]
assert len(targets) == 1 and targets[0]["path"][1]["error"] == 0.25, targets
END

# ---- export-fit ----------------------------------------------------------------------------------------------------

check_output "export-fit" "dense: 3 targets of fit main, 3 weights" dmstore export-fit run.dms main -o dense
check "export-fit --sparse" dmstore export-fit run.dms main -o sparse --sparse
check_python "writes what the parts said" <<'END'
import json
weight = np.load("dense/weight.npy")
expected = np.zeros((20, 3), np.float32)
for target in range(3):
    for k in range(target % 4):
        expected[2 * k + target % 2, target] = target + k / 8
assert weight.flags["C_CONTIGUOUS"] and bits(weight) == bits(expected)
assert bits(np.load("dense/bias.npy")) == bits(np.arange(3) / 2)
assert bits(np.load("dense/lam.npy")) == bits(1 / (np.arange(3) + 1.0))
assert bits(np.load("dense/gap.npy")) == bits(np.array([1e-5, 1e-5, 0.125]))
assert bits(np.load("dense/targets.npy")) == bits(np.arange(3))
provenance = json.load(open("dense/provenance.json"))
assert provenance["shape"] == [20, 3] and provenance["jobs"][1]["host"] == "gpu01"
END
check_python "also as the columns of a sparse matrix" <<'END'
indptr, indices, data = (np.load(f"sparse/{name}.npy") for name in ("indptr", "indices", "data"))
assert indptr.tolist() == [0, 0, 1, 3] and data.dtype == np.float64 and indices.dtype == np.int32
dense = np.zeros((20, 3), np.float32)
for target in range(3):
    span = slice(indptr[target], indptr[target + 1])
    dense[indices[span], target] = data[span]
assert bits(dense) == bits(np.load("dense/weight.npy"))
END
check_output "export-fit leaves nothing else behind" "bias.npy gap.npy lam.npy provenance.json targets.npy weight.npy" \
    echo $(ls dense)
check_error "export-fit needs a directory" 2 "--output" dmstore export-fit run.dms main
check_error "that can be one" 1 "other.dmfit" dmstore export-fit run.dms main -o other.dmfit

# ---- a manifest, other commands ------------------------------------------------------------------------------------

dmstore snapshot run.dms -o run.manifest >/dev/null
check "a manifest has the fits" dmstore fits run.manifest main
check "and exports them" dmstore export-fit run.manifest main -o from-manifest
check_same "the same" dense/weight.npy from-manifest/weight.npy
check "info" dmstore info run.dms
check_printed "mentions a fit" "fit main, 3 of 3 targets of margins in 2 parts"
check "info --json" dmstore info run.dms --json
cp "$stdout_file" info.json
check_python "mentions fits, too" info.json <<'END'
import json
fits = json.load(open(sys.argv[1]))["fits"]
assert [(fit["name"], fit["output"], fit["targets"]) for fit in fits] == [("main", "margins", 3), ("spare", "margins", 1)]
END
check "ls" dmstore ls run.dms
check_printed "lists fits after the columns" "fit main"
check "verify reads them" dmstore verify run.dms
dmstore rm run.dms --ids 2 >/dev/null
dmstore compact run.dms --all >/dev/null
check "a fit stays when a model it used is removed" dmstore export-fit run.dms main -o after
check_same "as it was" dense/weight.npy after/weight.npy
create_small merged.dms
check "merge does not take fits over" dmstore merge merged.dms run.dms
check_error "and says so" 0 "fits are not copied" dmstore merge merged.dms run.dms
check_output "they are not there" 1 grep -c . <(dmstore fits merged.dms)

# ---- rm-fit, recover -----------------------------------------------------------------------------------------------

check_output "rm-fit" "fit spare removed" dmstore rm-fit run.dms spare
check_error "rm-fit of one that is not there" 1 "there is no fit 'spare'" dmstore rm-fit run.dms spare
rm -r run.dms/lmdb
check "recover brings fits back" dmstore recover run.dms
check_printed "and counts them" "1 fit"
check "export-fit after recover" dmstore export-fit run.dms main -o recovered
check_same "the same weights" dense/weight.npy recovered/weight.npy
check_error "the removed one stays removed" 1 "there is no fit" dmstore fits run.dms spare
python run.dms <<'END'
import glob
for path in glob.glob(sys.argv[1] + "/segments/*.dms"):
    data = bytearray(open(path, "rb").read())
    for at in range(0, len(data), 64):
        if data[at:at + 8] == b"dmsBlock" and data[at + 8] == 8 and data[at + 64] == 2:
            data[at + 700] ^= 1
    open(path, "wb").write(data)
END
check_status "verify finds a damaged part" 1 dmstore verify run.dms
check_printed "and names fit and targets" "targets of fit main to fit again: 1-2"
check_status "recover drops it" 1 dmstore recover run.dms
check_printed "and names them, too" "targets of fit main to fit again: 1-2"
check "the other part is there" dmstore fits run.dms main --targets 0:1
check "what was lost can be added again" dmstore merge-fits run.dms part-1.dmfit
check "export-fit again" dmstore export-fit run.dms main -o again
check_same "gives all of it" dense/weight.npy again/weight.npy
done_testing
