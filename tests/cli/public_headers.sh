#!/usr/bin/env bash
# Each public header can be included alone, by a strict C11 program and by a C++ program, and compiles without a warning.
# Uses the compiler of the build ($CC); the C++ half is skipped where there is none.
set -u

source_dir=${srcdir:-.}
CC=${CC:-cc}
headers=("$source_dir"/include/dmstore.h "$source_dir"/include/dmstore/*.h)

compiles() { # LANGUAGE STANDARD HEADER
    $CC -x "$1" -std="$2" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$source_dir/include" - 2>&1 \
        <<<"#include <$3>"$'\n'"extern int not_an_empty_program;"
}

has_cxx=yes
$CC -x c++ -fsyntax-only - <<<'#include <cstdint>' 2>/dev/null || has_cxx=

echo "1..$((2 * ${#headers[@]}))"
test_ct=0
for path in "${headers[@]}"; do
    header=${path#"$source_dir/include/"}
    for language in "c c11" "c++ c++11"; do
        test_ct=$((test_ct + 1))
        if [ "$language" != "c c11" ] && [ -z "$has_cxx" ]; then
            echo "ok $test_ct - <$header> as $language # SKIP no C++ compiler"
        elif errors=$(compiles $language "$header"); then
            echo "ok $test_ct - <$header> as $language"
        else
            echo "not ok $test_ct - <$header> as $language"
            echo "$errors" | sed 's/^/# /'
        fi
    done
done
