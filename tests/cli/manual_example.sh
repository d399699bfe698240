#!/usr/bin/env bash
# The five minutes of dmstore(1) work when pasted (they need NumPy), and the example program of libdmstore(3) compiles
# without a warning, runs, and makes a good store (this needs the shared library of the build tree).
. "$(dirname "$0")/tap.sh"

example_of() { # PAGE: what is between .Bd and .Ed in its EXAMPLES, with mdoc's escape of the backslash undone
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/{/^\.Bd/,/^\.Ed/{/^\./d;s/\\e/\\/g;p}}' "$DMSTORE_SOURCE_DIR/man/$1"
}

example_of dmstore.1 >five_minutes.sh
mkdir bin
if "${PYTHON:-python3}" -c 'import numpy; print("there")' 2>/dev/null | grep -q there; then
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "${PYTHON:-python3}")" >bin/python3
    chmod +x bin/python3
    check "the five minutes of dmstore(1)" env PATH="$PWD/bin:$(dirname "$DMSTORE"):$PATH" bash -e five_minutes.sh
    check_line "say which models are missing" 2000-2499
else
    skip "the five minutes of dmstore(1)" "no NumPy"
fi

library_dir=${DMSTORE_BUILD_DIR:-}/.libs
if [ ! -e "$library_dir/libdmstore.so" ]; then
    skip "the example of libdmstore(3)" "no shared library in '$library_dir'"
    done_testing
fi
example_of libdmstore.3 >example.c
check "the example compiles without a warning" ${CC:-cc} -Wall -Wextra -Werror -I"$DMSTORE_SOURCE_DIR/include" \
    example.c -o example -L"$library_dir" -Wl,-rpath,"$library_dir" -ldmstore
check_output "the example prints margins and means" "target 0: 2, mean 4.95
target 1: -1.5, mean -1.5
target 2: 2, mean 2" ./example example.dms
check "its store is good" dmstore verify example.dms
check_status "run again, it refuses to overwrite the store" 1 ./example example.dms
done_testing
