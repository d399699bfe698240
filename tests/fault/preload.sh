# Running the program with calls to the system that fail: sourced after tap.sh. Builds inject.c as a module for LD_PRELOAD
# in the working directory, or ends the test as skipped where that cannot work.

skip_all() { # REASON
    echo "1..0 # SKIP $1"
    exit 0
}

if ldd "$DMSTORE" 2>/dev/null | grep -qE 'lib[atlu]+san'; then
    skip_all "a program with a sanitizer cannot be preloaded"
fi
ldd "$DMSTORE" >/dev/null 2>&1 || skip_all "$DMSTORE is no dynamic program"
inject_module=$work_dir.inject.so
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -fPIC -shared -I"$DMSTORE_SOURCE_DIR" -o "$inject_module" \
    "$DMSTORE_SOURCE_DIR/tests/fault/inject.c" "$DMSTORE_SOURCE_DIR/tests/fault/durable.c" -ldl 2>"$stderr_file" || skip_all "cannot build a module: $(head -1 "$stderr_file")"
trap 'chmod -R u+w "$work_dir"; rm -rf "$work_dir" "$stdout_file" "$stderr_file" "$inject_module" "$work_dir.count"' EXIT

# injected FAULT AT[+] COMMAND...: runs dmstore COMMAND with the fault at call AT (0: only counted; +: and at all that
# follow) on files below the working directory; the number of calls is left in $work_dir.count.
injected() {
    local fault=$1 at=$2 lasting=()
    shift 2
    [ "$at" = "${at%+}" ] || lasting=(DMS_INJECT_LASTING=1)
    env LD_PRELOAD="$inject_module" DMS_INJECT_FAULT="$fault" DMS_INJECT_UNDER="$work_dir" DMS_INJECT_AT="${at%+}" \
        "${lasting[@]}" DMS_INJECT_COUNT="$work_dir.count" "$DMSTORE" "$@"
}
