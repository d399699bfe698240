#!/usr/bin/env bash
# dmstore ingest: models that are there already, columns filled later, claims about sampling, interruption, spools.
source "$(dirname "$0")/tap.sh"
source "$DMSTORE_SOURCE_DIR/tests/cli/numpy.sh"

python <<'END'
rng = np.random.default_rng(5)
m, d, n = 500, 100, 20
np.save("masks.npy", rng.random((m, d)) < 0.5)
margins = rng.normal(size=(m, n)).astype(np.float16)
np.save("margins.npy", margins)
margins[123, 4] = 9
np.save("changed.npy", margins)
np.save("extra.npy", rng.normal(size=(m, 6)).astype(np.float32))
np.save("loss.npy", rng.normal(size=m))
END
files="--masks masks.npy --output margins=margins.npy"
create() {
    dmstore create "$1" --examples 100 --output margins:20 --chunk-rows 64 "${@:2}"
}

# export_of STORE: the checksum of everything in it
export_of() {
    dmstore export "$1" --masks sum_masks.npy --output margins=sum_margins.npy --ids sum_ids.npy >/dev/null &&
        cat sum_masks.npy sum_margins.npy sum_ids.npy | sha256sum
}
counts() {
    "$PYTHON" -c 'import json, sys
report = json.load(sys.stdin)
print(*(report[key] for key in ("added", "unchanged", "kept", "replaced")))'
}
ingest_counts() { # STORE OPTION...
    dmstore ingest "$@" --json | counts
}

# ---- duplicates

create store
check_output "rows are added" "500 0 0 0" ingest_counts store $files
check_output "the same rows are left alone" "0 500 0 0" ingest_counts store $files
check_error "another value of a model is an error that names it" 1 "123" \
    dmstore ingest store --masks masks.npy --output margins=changed.npy
check_output "or keeps what is there" "0 499 1 0" \
    ingest_counts store --masks masks.npy --output margins=changed.npy --on-duplicate keep
dmstore export store --output margins=now.npy >/dev/null
check_same "as it was" margins.npy now.npy
check_output "or replaces it" "0 499 0 1" \
    ingest_counts store --masks masks.npy --output margins=changed.npy --on-duplicate replace
dmstore export store --output margins=now.npy >/dev/null
check_same "by the new values" changed.npy now.npy
check "the store is sound after that" dmstore verify store
check_error "an unknown rule" 2 "error, keep, replace" dmstore ingest store $files --on-duplicate overwrite

# ---- parts

create whole
dmstore ingest whole $files >/dev/null
create parts
dmstore ingest parts $files --rows 300:500 >/dev/null
dmstore ingest parts $files --rows 0:100 >/dev/null
dmstore ingest parts $files >/dev/null
check_output "rows in parts are the same store" "$(export_of whole)" export_of parts
create one_thread
dmstore ingest one_thread $files --threads 1 >/dev/null
check_output "one thread makes the same store" "$(export_of whole)" export_of one_thread

# ---- a training store whose rows are completed little by little

create growing
python <<<'np.save("_completed.npy", np.random.default_rng(8).random(500) < 0.4)'
dmstore ingest growing $files --completed _completed.npy >/dev/null
python <<<'np.save("_completed.npy", np.load("_completed.npy") | (np.arange(500) % 3 == 0))'
dmstore ingest growing $files --completed _completed.npy >/dev/null
dmstore export growing --ids done_ids.npy >/dev/null
check_python "rows that are not done are not taken" <<'END'
assert (np.load("done_ids.npy") == np.flatnonzero(np.load("_completed.npy"))).all()
END
python <<<'np.save("_completed.npy", np.ones(500, bool))'
dmstore ingest growing $files --completed _completed.npy >/dev/null
check_output "and in the end it is the same store" "$(export_of whole)" export_of growing

# ---- columns filled later

check "a column is added" dmstore add-column whole --output extra:6:f32 --scalar loss:f64
check_error "export names the first model without a value" 1 "model 0" \
    dmstore export whole --output extra=extra_out.npy
check_output "fill half of it" "250 0 0 0" ingest_counts whole --output extra=extra.npy --scalar loss=loss.npy --rows :250
check_error "the first model without a value is now another" 1 "model 250" \
    dmstore export whole --output extra=extra_out.npy
check "export with --fill-missing" dmstore export whole --output extra=filled.npy --scalar loss=filled_loss.npy --fill-missing
check_python "writes NaN" <<'END'
extra, filled = np.load("extra.npy"), np.load("filled.npy")
assert (filled[:250] == extra[:250]).all() and np.isnan(filled[250:]).all()
assert np.isnan(np.load("filled_loss.npy")[250:]).all()
END
check "fill the rest, by ids" python <<'END'
np.save("reversed.npy", np.load("extra.npy")[::-1])
np.save("reversed_ids.npy", np.arange(500)[::-1])
END
check "rows that have the same value are no conflict" dmstore ingest whole --output extra=reversed.npy --ids reversed_ids.npy
check "now the column is whole" dmstore export whole --output extra=extra_out.npy
check_same "and what went in" extra.npy extra_out.npy
check_error "filling a model that is not there names it" 1 "500" \
    dmstore ingest whole --output extra=extra.npy --first-id 1
check "the store is sound after filling" dmstore verify whole

# ---- sampled masks

dmstore sample --examples 100 --alpha 0.29 --seed 11 --first-id 40 --count 300 -o sampled.npy
for codec in none zstd; do
    dmstore create sampled_$codec --examples 100 --chunk-rows 64 --codec $codec
    check "masks that were sampled, codec $codec" dmstore ingest sampled_$codec --masks sampled.npy --first-id 40 \
        --sampled 0.29:11
    check "verify them, codec $codec" dmstore verify sampled_$codec
    dmstore export sampled_$codec --masks sampled_out.npy >/dev/null
    check_same "they come back, codec $codec" sampled.npy sampled_out.npy
done
check "ls" dmstore ls sampled_none
create not_sampled
check_error "another seed" 1 "model 40" dmstore ingest not_sampled --masks sampled.npy --first-id 40 --sampled 0.29:12
check_error "another first id" 1 "model 41" dmstore ingest not_sampled --masks sampled.npy --first-id 41 --sampled 0.29:11
check_error "another alpha" 1 "model 40" dmstore ingest not_sampled --masks sampled.npy --first-id 40 --sampled 0.3:11
check_error "a claim that is none" 2 "--sampled" dmstore ingest not_sampled --masks sampled.npy --sampled 0.3
check_error "a claim about filled columns" 2 "--sampled" dmstore ingest whole --output extra=extra.npy --sampled 0.3:1

# ---- usage

check_error "nothing to do" 2 "--masks" dmstore ingest store
check_error "an output without a file" 2 "NAME=FILE" dmstore ingest store --masks masks.npy --output margins
check_error "a column that is not there" 1 "margin" dmstore ingest store --masks masks.npy --output margin=margins.npy
check_error "a scalar given as output" 1 "loss" dmstore ingest whole --masks masks.npy --output loss=loss.npy
check_error "a column given twice" 1 "twice" dmstore ingest store $files --output margins=changed.npy
check_error "a store that is not there" 1 "absent" dmstore ingest absent $files
check_error "--spool with --masks" 2 "--spool" dmstore ingest store --spool spool $files
check_error "a spool that is not there" 1 "absent" dmstore ingest store --spool absent

# ---- interrupted by SIGTERM again and again, the same command ends with the same store

python <<'END'
rng = np.random.default_rng(6)
np.save("big_masks.npy", rng.random((20000, 2000)) < 0.5)
np.save("big_margins.npy", rng.normal(size=(20000, 500)).astype(np.float16))
END
big="--masks big_masks.npy --output margins=big_margins.npy"
big_store() { dmstore create "$1" --examples 2000 --output margins:500 --chunk-rows 256; }
big_store uninterrupted
dmstore ingest uninterrupted $big >/dev/null
big_store interrupted
stop_ct=0
for delay in 0.02 0.05 0.08 0.11 0.14 0.17 0.2; do
    "$DMSTORE" ingest interrupted $big >/dev/null 2>interrupted.txt &
    sleep $delay
    kill -TERM $! 2>/dev/null
    wait $!
    status=$?
    if [ $status -eq 1 ] && grep -q "run" interrupted.txt; then
        stop_ct=$((stop_ct + 1))
    elif [ $status -ne 0 ] && [ $status -ne 143 ]; then
        fail "an interrupted ingest says how to go on" "exit status $status" "$(cat interrupted.txt)"
    fi
done
echo "# $stop_ct of 7 were stopped by the signal"
check "it ends at last" dmstore ingest interrupted $big
check_output "with the same store" "$(export_of uninterrupted)" export_of interrupted
if command -v script >/dev/null; then
    big_store watched
    script -qec "'$DMSTORE' ingest watched $big" /dev/null </dev/null >typescript
    if grep -q '% [0-9,]* of 20,000 rows' typescript; then
        pass "a terminal shows a progress bar"
    else
        fail "a terminal shows a progress bar" "$(cat -v typescript)"
    fi
else
    skip "a terminal shows a progress bar" "no script(1)"
fi
check "which is sound" dmstore verify interrupted
done_testing
