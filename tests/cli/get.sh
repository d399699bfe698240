#!/usr/bin/env bash
# `dmstore get`: every selector in every format, of sealed and of staged models; what is not there; wrong command lines.
. "$(dirname "$0")/tap.sh"
. "$DMSTORE_SOURCE_DIR/tests/cli/fixture.sh"

create_small run.dms --output grid:2x2:f32 --output hits:10:bool --scalar host:s8
ingest_small run.dms 0 70
append_small run.dms 200
# Model 201 has no margins, and numbers that are hard to print.
echo '{"id": 201, "mask": "010008", "outputs": {"grid": [[0.1, null], [-0.0, 1e-40]], "hits": [1,0,0,0,0,0,0,0,1,1]}, ' \
    '"scalars": {"host": "gpu7"}}' |
    dmstore append run.dms --format jsonl >/dev/null

drawn() { # ID: the examples of its subset, one a line
    dmstore sample --examples 20 --alpha 0.5 --seed 7 --id "$1" --format indices | tr ' ' '\n'
}

get() {
    dmstore get run.dms "$@"
}

# ---- text ----------------------------------------------------------------------------------------------------------

for id in 0 5 69 200; do
    check_output "mask of model $id" "$(drawn $id)" get --id $id --mask
done
check_output "mask given in hexadecimal" "0
19" get --id 201 --mask
check_output "an output, a line a target" "1.02
1.0205
1.021" get --id 5 --output margins
check_output "an output of a staged model" "1.781
1.782
1.783" get --id 200 --output margins
check_output "a range of targets" "1.0205" get --id 5 --output margins --targets 1:2
check_output "a range of targets without its start" "1.02
1.0205" get --id 5 --output margins --targets :2
check_output "a range of targets without its end" "1.021" get --id 5 --output margins --targets 2:
check_output "an output of several values a target, and not finite" "0.1 nan
-0 9.99995e-41" get --id 201 --output grid
check_output "a bool output" "1
0
0
0
0
0
0
0
1
1" get --id 201 --output hits
check_output "a range of a bool output" "0
1
1" get --id 201 --output hits --targets 7:10
check_output "a scalar" 69 get --id 69 --scalar seconds
check_output "a scalar of text" gpu7 get --id 201 --scalar host

# ---- files ---------------------------------------------------------------------------------------------------------

small_files 5 1
printf '\x01\x00\x08' >mask.expected
check "a mask as raw bytes" get --id 201 --mask --format raw -o mask.raw
check_same "are its packed bits" mask.raw mask.expected
check "a mask as .npy" get --id 5 --mask --format npy -o mask.npy
check_output "has a bool an example" "$(drawn 5)" awk '$1 == "01" { print NR - 1 }' \
    <(tail -c 20 mask.npy | od -An -v -tx1 -w1)
check "an output as .npy" get --id 5 --output margins --format npy -o margins_5.npy
check_same "has the values that went in" <(tail -c 6 margins_5.npy) <(tail -c 6 margins.npy)
check "has the shape of the column" grep -q "'shape': (3,)" margins_5.npy
check "an output of two dimensions as .npy" get --id 201 --output grid --targets 1: --format npy -o grid.npy
check "has the shape of the range" grep -q "'shape': (1, 2)" grid.npy
check "a scalar as .npy" get --id 5 --scalar seconds --format npy -o seconds_5.npy
check "has no dimensions" grep -q "'shape': ()" seconds_5.npy
check "an output as raw bytes on standard output" get --id 5 --output margins --format raw -o -
check_same "are the values" "$stdout_file" <(tail -c 6 margins.npy)
check_error "a file that cannot be created" 1 "no_such_directory" get --id 5 --mask -o no_such_directory/mask
check_output "leaves nothing behind" "" find . -name '*.tmp'

# ---- JSON ----------------------------------------------------------------------------------------------------------

check_output "an output as JSON" '{ "id": 201, "outputs": { "grid": [ 0.10000000149011612, null, -0, 9.99994610111476e-41 ] } }' \
    bash -c 'echo $("$0" get run.dms --id 201 --output grid --json)' "$DMSTORE"
check_output "what is read as JSON can be appended again" "0.1 nan
-0 9.99995e-41" bash -c '
    set -e
    "$0" create again.dms --examples 20 --output grid:2x2:f32
    { "$0" get run.dms --id 201 --mask --json | tr -d "\n}"; "$0" get run.dms --id 201 --output grid --json |
        tr -d "\n" | sed "s/{ *\"id\": 201//"; } | "$0" append again.dms --format jsonl >/dev/null
    "$0" get again.dms --id 201 --output grid' "$DMSTORE"

# ---- the summary ---------------------------------------------------------------------------------------------------

check "a summary" get --id 5
check_line "of the place" "place row 5 of group 1"
check_line "of the mask" "mask 10 of 20 examples"
check_line "of an output" "margins 3 values, 1.01953 to 1.02148, mean 1.02051"
check_line "of an output without values" "grid no value"
check_line "of a scalar" "seconds 5"
check "a summary of a staged model" get --id 201
check_line "with values that are not finite" "grid 4 values, -0 to 0.1, mean 0.0333333, 1 not finite"
check_line "with text" "host gpu7"
check "a summary as JSON" get --id 5 --json
check_line "has the subset size" '"subset_size": 10,'

# ---- what is wrong -------------------------------------------------------------------------------------------------

check_error "a model that is not there" 1 "70" get --id 70
check_error "a column without a value for the model" 1 "model 5 has no value in column grid" get --id 5 --output grid
check_error "a column that is not there" 1 "margin" get --id 5 --output margin
check_error "a scalar is no output" 1 "column seconds is no output column" get --id 5 --output seconds
check_error "an output is no scalar" 1 "column margins is no scalar column" get --id 5 --scalar margins
check_error "targets that are not there" 1 "'2:4' is not a range of the targets 0:3 of column margins" \
    get --id 5 --output margins --targets 2:4
check_error "an empty range of targets" 1 "'2:2' is not a range" get --id 5 --output margins --targets 2:2
check_error "a range that is none" 2 "'2' is not of the form A:B" get --id 5 --output margins --targets 2
check_error "targets of a mask" 2 "--targets goes with --output" get --id 5 --mask --targets 0:1
check_error "two selectors" 2 "only one of" get --id 5 --mask --output margins
check_error "no id" 2 "--id is missing" get --mask
check_error "a format without a selector" 2 "--format goes with" get --id 5 --format npy
check_error "a format that is none" 2 "'hex' is not one of text, npy, raw" get --id 5 --mask --format hex
check_error "no such store" 1 "no_such.dms" dmstore get no_such.dms --id 5
done_testing
