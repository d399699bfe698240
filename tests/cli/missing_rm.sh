#!/usr/bin/env bash
# `dmstore missing` names exactly the ids that are not there, and `dmstore rm` removes exactly those that it is told to.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

create_small run.dms
check_output "of an empty store everything is missing" "0-9" dmstore missing run.dms --count 10
check_output "one id is no range" "7" dmstore missing run.dms --count 1 --first-id 7
check_output "of no ids none is missing" "" dmstore missing run.dms --count 0

ingest_small run.dms 5 70
append_small run.dms 80 82
check_output "ranges between sealed and staged models" "0-4,75-79,81,83-99" dmstore missing run.dms --count 100
check_output "a range that starts inside the models" "75-79,81" dmstore missing run.dms --count 30 --first-id 53
check_output "a range that is all there" "" dmstore missing run.dms --count 70 --first-id 5
check_output "the largest ids" "18446744073709551614-18446744073709551615" \
    dmstore missing run.dms --count 2 --first-id 18446744073709551614
check_error "beyond the largest id" 2 "beyond the largest id" \
    dmstore missing run.dms --count 3 --first-id 18446744073709551614
check_error "without a count" 2 "--count is missing" dmstore missing run.dms
check_output "as JSON" '{ "first_id": 0, "count": 100, "missing_count": 28, "missing": "0-4,75-79,81,83-99" }' \
    bash -c 'echo $("$0" missing run.dms --count 100 --json)' "$DMSTORE"

# ---- rm ------------------------------------------------------------------------------------------------------------

check_output "rm of ids and ranges in any order" "7 models removed" dmstore rm run.dms --ids 70-72,5,82,7-8,70
check_output "they are missing" "0-5,7-8,70-72,75-79,81-99" dmstore missing run.dms --count 100
check_error "they cannot be read" 1 "model" dmstore get run.dms --id 7
check_output "the others can" 6 dmstore get run.dms --id 6 --scalar seconds
check_error "rm of an id that is not there" 1 "2 of these models are not in 'run.dms', the first is 7" \
    dmstore rm run.dms --ids 6-9
check_output "removes nothing" "0-5,7-8,70-72,75-79,81-99" dmstore missing run.dms --count 100
check_output "rm --ignore-missing" "2 models removed, 2 not there" dmstore rm run.dms --ids 6-9 --ignore-missing
printf '\x0a\x00\x0d\x00\x0b\x00' | write_npy ids.npy '<i2' '3,'
check_output "rm of ids in a file" "3 models removed" dmstore rm run.dms --ids ids.npy
check_output "they are missing, too" "0-11,13,70-72,75-79,81-99" dmstore missing run.dms --count 100
check_output "rm of far more ids than there are" '{ "removed": 60, "not_there": 999999999940 }' \
    bash -c 'echo $("$0" rm run.dms --ids 0-999999999999 --ignore-missing --json)' "$DMSTORE"
check_output "the store is empty" "0-99" dmstore missing run.dms --count 100
check "and good" dmstore verify run.dms

ingest_small run.dms 5 3
check_output "an id that was removed can be used again" "0-4,8-9" dmstore missing run.dms --count 10
check_output "and has its values" 6 dmstore get run.dms --id 6 --scalar seconds

for list in "" "," "5-" "-5" "9-3" "1,,2" "18446744073709551616"; do
    check_error "'$list' is no list of ids" 2 "is not an id or a range of ids" dmstore rm run.dms --ids "$list"
done
check_error "a file that is not there" 1 "no_such.npy" dmstore rm run.dms --ids no_such.npy
check_error "without ids" 2 "--ids is missing" dmstore rm run.dms
done_testing
