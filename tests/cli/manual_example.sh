#!/usr/bin/env bash
# The example program of libdmstore(3) compiles without a warning, runs, and its store is good. Needs the shared library
# of the build tree.
. "$(dirname "$0")/tap.sh"

library_dir=${DMSTORE_BUILD_DIR:-}/.libs
if [ ! -e "$library_dir/libdmstore.so" ]; then
    echo "1..0 # SKIP no shared library in '$library_dir'"
    exit 0
fi

# Between .Bd and .Ed of EXAMPLES, with mdoc's escape of the backslash undone.
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/{/^\.Bd/,/^\.Ed/{/^\./d;s/\\e/\\/g;p}}' \
    "$DMSTORE_SOURCE_DIR/man/libdmstore.3" >example.c

check "the example compiles without a warning" ${CC:-cc} -Wall -Wextra -Werror -I"$DMSTORE_SOURCE_DIR/include" \
    example.c -o example -L"$library_dir" -Wl,-rpath,"$library_dir" -ldmstore
check_output "the example prints margins and means" "target 0: 2, mean 4.95
target 1: -1.5, mean -1.5
target 2: 2, mean 2" ./example example.dms
check "its store is good" dmstore verify example.dms
check_status "run again, it refuses to overwrite the store" 1 ./example example.dms
done_testing
