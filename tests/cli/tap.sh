# Helpers of the command-line tests: sourced by each tests/cli/*.sh. A test works in an empty directory of its own,
# prints TAP, and ends with done_testing. The program is $DMSTORE (else the dmstore of PATH), the build tree
# $DMSTORE_BUILD_DIR (else where that is), the sources are in $DMSTORE_SOURCE_DIR (else the tree that this file is in).
set -u

DMSTORE_SOURCE_DIR=${DMSTORE_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
DMSTORE=$(realpath -e "${DMSTORE:-$(command -v dmstore)}") || {
    echo "Bail out! no dmstore to test: set DMSTORE"
    exit 1
}
DMSTORE_BUILD_DIR=${DMSTORE_BUILD_DIR:-$(dirname "$DMSTORE")}
export LC_ALL=C

test_ct=0
failed_ct=0
work_dir=$(mktemp -d)
# What the commands under test print; not in the working directory, which is the test's.
stdout_file=$work_dir.stdout
stderr_file=$work_dir.stderr
trap 'chmod -R u+w "$work_dir"; rm -rf "$work_dir" "$stdout_file" "$stderr_file"' EXIT
cd "$work_dir" || exit 1

dmstore() {
    "$DMSTORE" "$@"
}

# pass DESCRIPTION; fail DESCRIPTION [LINE...]: the lines explain it.
pass() {
    test_ct=$((test_ct + 1))
    echo "ok $test_ct - $1"
}

fail() {
    test_ct=$((test_ct + 1))
    failed_ct=$((failed_ct + 1))
    echo "not ok $test_ct - $1"
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
}

skip() { # DESCRIPTION REASON
    test_ct=$((test_ct + 1))
    echo "ok $test_ct - $1 # SKIP $2"
}

# Runs a command with its output in the two files; sets $status.
run() {
    "$@" >"$stdout_file" 2>"$stderr_file"
    status=$?
}

# check DESCRIPTION COMMAND...: it exits with 0.
check() {
    check_status "$1" 0 "${@:2}"
}

# check_status DESCRIPTION STATUS COMMAND...
check_status() {
    run "${@:3}"
    if [ "$status" -eq "$2" ]; then
        pass "$1"
    else
        fail "$1" "exit status $status, not $2" "$(cat "$stdout_file" "$stderr_file")"
    fi
}

# check_output DESCRIPTION EXPECTED COMMAND...: it exits with 0 and prints exactly that (trailing newlines aside).
check_output() {
    local output
    run "${@:3}"
    output=$(cat "$stdout_file")
    if [ "$status" -eq 0 ] && [ "$output" = "$2" ]; then
        pass "$1"
    else
        fail "$1" "exit status $status, output:" "$output" "expected:" "$2" "stderr:" "$(cat "$stderr_file")"
    fi
}

# check_error DESCRIPTION STATUS TEXT COMMAND...: it exits with that status and says TEXT on stderr.
check_error() {
    run "${@:4}"
    if [ "$status" -eq "$2" ] && grep -qF -- "$3" "$stderr_file"; then
        pass "$1"
    else
        fail "$1" "exit status $status (expected $2), stderr (expected '$3'):" "$(cat "$stderr_file")"
    fi
}

# check_line DESCRIPTION LINE: the last command printed this line on standard output (blanks squeezed).
check_line() {
    if tr -s ' ' <"$stdout_file" | sed 's/^ //' | grep -qxF -- "$2"; then
        pass "$1"
    else
        fail "$1" "no line '$2' in:" "$(cat "$stdout_file")"
    fi
}

# check_printed DESCRIPTION TEXT: the last command printed TEXT somewhere on standard output.
check_printed() {
    if grep -qF -- "$2" "$stdout_file"; then
        pass "$1"
    else
        fail "$1" "no '$2' in:" "$(cat "$stdout_file")"
    fi
}

# check_same DESCRIPTION FILE FILE: equal bytes.
check_same() {
    local difference
    if difference=$(cmp "$2" "$3" 2>&1); then
        pass "$1"
    else
        fail "$1" "$difference"
    fi
}

# write_npy FILE DESCR SHAPE: a version 1.0 .npy file whose values are the bytes of standard input.
# e.g. printf '\x01\x00\x02\x00' | write_npy ids.npy '<u2' '2,'
write_npy() {
    local header length
    header="{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"
    length=$(((10 + ${#header} + 1 + 63) / 64 * 64 - 10))
    {
        printf '\x93NUMPY\x01\x00'
        printf "\\x$(printf %02x $((length & 255)))\\x$(printf %02x $((length >> 8)))"
        printf '%-*s\n' $((length - 1)) "$header"
        cat
    } >"$1"
}

done_testing() {
    echo "1..$test_ct"
    exit $((failed_ct > 0))
}
