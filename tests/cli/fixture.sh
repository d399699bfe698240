# A small store for the command-line tests whose values are known: sourced after tap.sh.
#
# Masks are subsets of 10 of 20 examples, as `dmstore sample --alpha 0.5 --seed 7` draws them. Target t of model id has the
# margin 1 + (4 x id + t) / 1024, exact in f16 below id 255; seconds is id.

# create_small STORE [OPTION...]
create_small() {
    dmstore create "$1" --examples 20 --output margins:3:f16 --scalar seconds:u32 --chunk-rows 64 "${@:2}"
}

# small_files FIRST COUNT: writes masks.npy, margins.npy and seconds.npy for models FIRST .. FIRST + COUNT - 1.
small_files() {
    dmstore sample --examples 20 --alpha 0.5 --seed 7 --first-id "$1" --count "$2" -o masks.npy
    awk -v first="$1" -v count="$2" 'BEGIN {
        for (id = first; id < first + count; id++)
            for (target = 0; target < 3; target++) {
                bits = 15360 + 4 * id + target
                printf "\\x%02x\\x%02x", bits % 256, int(bits / 256)
            }
    }' >margins.escaped
    printf "$(cat margins.escaped)" | write_npy margins.npy '<f2' "$2, 3"
    awk -v first="$1" -v count="$2" 'BEGIN {
        for (id = first; id < first + count; id++)
            printf "\\x%02x\\x%02x", id % 256, int(id / 256)
    }' >seconds.escaped
    printf "$(cat seconds.escaped)" | write_npy seconds.npy '<u2' "$2,"
    rm margins.escaped seconds.escaped
}

# ingest_small STORE FIRST COUNT: sealed rows.
ingest_small() {
    small_files "$2" "$3"
    dmstore ingest "$1" --masks masks.npy --output margins=margins.npy --scalar seconds=seconds.npy \
        --first-id "$2" >/dev/null
}

# append_small STORE ID...: staged rows.
append_small() {
    local id store=$1
    shift
    for id in "$@"; do
        awk -v id="$id" -v mask="$(dmstore sample --examples 20 --alpha 0.5 --seed 7 --id "$id" --format indices)" 'BEGIN {
            gsub(/ +/, ", ", mask)
            printf "{\"id\": %d, \"mask\": [%s], " \
                "\"outputs\": {\"margins\": [%.10f, %.10f, %.10f]}, \"scalars\": {\"seconds\": %d}}\n", id, mask,
                1 + 4 * id / 1024, 1 + (4 * id + 1) / 1024, 1 + (4 * id + 2) / 1024, id
        }'
    done | dmstore append "$store" --format jsonl >/dev/null
}
