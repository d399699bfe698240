#!/usr/bin/env bash
# dmstore create and add-column, and the rules that hold for every command line.
source "$(dirname "$0")/tap.sh"

check "create makes a store" dmstore create one --examples 100 --output margins:10:f16 --output logits:4x3 \
    --output seen:5:bool --scalar loss:f64 --scalar host:s16 --meta run=first --meta note= --dataset-digest 00ffA5 \
    --chunk-rows 64 --codec zstd:3
check "the store opens" dmstore info one
check "and is sound" dmstore verify one
check_error "create does not overwrite a store" 1 "one" dmstore create one --examples 100
mkdir full && touch full/file
check_error "nor a directory with files in it" 1 "full" dmstore create full --examples 100
mkdir empty
check "an empty directory becomes a store" dmstore create empty --examples 100
check "a store may have no outputs" dmstore create masks_only --examples 2K --codec auto
run dmstore info masks_only --json
if grep -q '"examples": 2000\b' "$stdout_file"; then
    pass "2K examples are 2000"
else
    fail "2K examples are 2000" "$(cat "$stdout_file")"
fi

refuse() { # DESCRIPTION TEXT OPTION...
    check_error "$1" 2 "$2" dmstore create refused "${@:3}"
}
refuse "without --examples" "--examples"
refuse "a number with rubbish behind it" "'10x'" --examples 10x
refuse "a negative number" "'-3'" --examples -3
refuse "a number beyond 64 bits" "18446744073709551616" --examples 18446744073709551616
refuse "a suffix that leaves 64 bits" "99999999999G" --examples 99999999999G
refuse "an option given twice" "given twice" --examples 10 --examples 11
refuse "an unknown option" "'--exmples'" --exmples 10
refuse "an option without its argument" "needs an argument" --examples
refuse "a flag with an argument" "takes no argument" --help=no
refuse "an output without a shape" "--output" --examples 10 --output margins
refuse "an output of no targets" "--output" --examples 10 --output margins:0
refuse "an output of an unknown type" "--output" --examples 10 --output margins:5:f128
refuse "a shape that overflows" "--output" --examples 10 --output margins:4294967296x4294967296x4294967296
refuse "a scalar of an unknown type" "--scalar" --examples 10 --scalar loss:decimal
refuse "an unknown codec" "--codec" --examples 10 --codec lz4
refuse "a level of zstd that does not exist" "--codec" --examples 10 --codec zstd:99
refuse "a digest of an odd length" "--dataset-digest" --examples 10 --dataset-digest abc
refuse "a digest that is not hexadecimal" "--dataset-digest" --examples 10 --dataset-digest xy
refuse "a note without a key" "--meta" --examples 10 --meta =value
refuse "a note without a value" "--meta" --examples 10 --meta key
refuse "one argument too many" "one too many" --examples 10 second
check_error "no store" 2 "missing" dmstore create --examples 10
check_error "rows of a chunk that are no power of two" 1 "100" dmstore create refused --examples 10 --chunk-rows 100
refuse "a name that is no name" "--output" --examples 10 --output a/b:5
check_error "two columns of one name" 1 "twice" dmstore create refused --examples 10 --output twice:5 --scalar twice:u8
if [ ! -e refused ]; then
    pass "nothing of them is left"
else
    fail "nothing of them is left" "$(ls -lR refused)"
fi

check "add-column adds columns" dmstore add-column one --output more:7:f32 --scalar seed:u64
check_error "add-column refuses a name that is there" 1 "margins" dmstore add-column one --output margins:3
check_error "a misspelt column stops it" 2 "--output" dmstore add-column one --output fine:3 --output broken:x
check_error "before any column is added" 1 "fine" dmstore export one --output fine=fine.npy
check_error "add-column wants a column" 2 "--output" dmstore add-column one
check_error "add-column wants a store" 1 "absent" dmstore add-column absent --output more:7

check "--help goes to standard output" dmstore create --help
if head -n 1 "$stdout_file" | grep -q '^Usage: dmstore create '; then
    pass "it starts with the usage"
else
    fail "it starts with the usage" "$(cat "$stdout_file")"
fi
check_output "--version" "$(dmstore --version)" dmstore --version
check_error "no command" 2 "Usage:" dmstore
check_error "an unknown command that is near a known one" 2 "did you mean 'ingest'" dmstore ingset
check_error "an unknown command" 2 "--help" dmstore frobnicate
dmstore --help | awk '/^  [a-z]/ { print $1 }' | while read -r command; do
    dmstore "$command" --help >help.txt || echo "$command: exit status $?"
    grep -q "^Usage: dmstore $command " help.txt || echo "$command: no usage"
    awk -v command="$command" 'length > 80 && !/^Usage/ { print command ": " $0 }' help.txt
done >complaints
if [ ! -s complaints ]; then
    pass "every command has a --help of at most 80 columns"
else
    fail "every command has a --help of at most 80 columns" "$(cat complaints)"
fi
if [ -c /dev/full ]; then
    full() { dmstore create --help >/dev/full; }
    check_error "help that cannot be printed" 1 "standard output" full
else
    skip "help that cannot be printed" "no /dev/full"
fi

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    mkdir -m 755 protected
    chmod 755 "$work_dir"
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$DMSTORE" "$@"; }
    check_error "a directory without permission" 1 "Permission denied" as_nobody create protected/store --examples 10
    check_error "a store without permission to write" 1 "ermission" as_nobody add-column one --output denied:3
else
    skip "a directory without permission" "not root, or no setpriv"
    skip "a store without permission to write" "not root, or no setpriv"
fi
done_testing
