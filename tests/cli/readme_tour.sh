#!/usr/bin/env bash
# The five-minute tour of README.md works when pasted: its code blocks are run one after the other by one shell, and each must
# succeed. The programs are those of the build tree.
. "$(dirname "$0")/tap.sh"

readme=$DMSTORE_SOURCE_DIR/README.md
if [ ! -x "${DMSTORE_BUILD_DIR:-}/tools/examples/make_margins" ]; then
    echo "1..0 # SKIP no make_margins in the build tree"
    exit 0
fi
# The tour puts build/quickstart of the working directory first in PATH, which is not there; then these are found.
PATH=$(dirname "$DMSTORE"):$DMSTORE_BUILD_DIR/tools/examples:$PATH

# The shell blocks of the section, in order.
awk '
    /^## / { in_tour = $0 == "## A five-minute tour" }
    in_tour && /^```sh$/ { inside = 1; print "echo \"# block " ++block_ct "\""; next }
    /^```$/ { inside = 0 }
    inside' "$readme" >blocks.sh
block_ct=$(grep -c '^echo "# block' blocks.sh)

check "the tour has blocks to run" test "$block_ct" -ge 8
if bash -e -o pipefail blocks.sh >tour.log 2>&1; then
    pass "all $block_ct of them succeed"
else
    fail "all $block_ct of them succeed" "$(cat tour.log)"
fi
check "the tour has shown the missing ids" grep -qx '1000-1002,1004' tour.log
check_output "its store is good in the end" "good" bash -c '"$0" verify tour/run.dms | tail -n 1' "$DMSTORE"
check_output "and has the models of the tour" "" dmstore missing tour/run.dms --count 1000

check_output "the table of commands has all of them" \
    "$(dmstore --help | sed -n 's/^  \([a-z-]\{1,\}\)  *[a-z].*/\1/p' | sort)" \
    bash -c 'sed -n "/^| command/,/^$/p" "$0" | cut -d "|" -f 2 | grep -o "\`[a-z-]*\`" | tr -d "\`" | sort' "$readme"
done_testing
