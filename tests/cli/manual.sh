#!/usr/bin/env bash
# The manual agrees with the program: each command has a --help and a man page, both tell of the same long options, each
# command refuses a wrong command line with exit status 2, and all pages are clean.
. "$(dirname "$0")/tap.sh"

man_dir=$DMSTORE_SOURCE_DIR/man

commands() { # as `dmstore --help` lists them
    dmstore --help | sed -n 's/^  \([a-z-]\{1,\}\)  *[a-z].*/\1/p'
}

help_options() { # COMMAND: long options at the start of a line of its --help
    dmstore "$1" --help | sed -n 's/^  *\(-[a-zA-Z], \)\{0,1\}--\([a-z-]*\).*/\2/p' | sort -u
}

page_options() { # PAGE: long options that have an entry of their own
    sed -n 's/^\.It \(Fl [a-zA-Z] , \)\{0,1\}Fl Fl \([a-z-]*\).*/\2/p' "$1" | sort -u
}

synopsis_options() { # PAGE: long options in its synopsis
    sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$1" | grep -o 'Fl Fl [a-z-]*' | sed 's/Fl Fl //' | sort -u
}

command_list=$(commands)
check_output "--help lists every command that has a page" "$(ls "$man_dir" | grep -c "^dmstore-.*[.]1$")" \
    grep -c . <<<"$command_list"
check_output "--version prints name and version" "dmstore 0.1.0" dmstore --version

for command in $command_list; do
    page=$man_dir/dmstore-$command.1
    check "$command --help exits with 0" dmstore "$command" --help
    cp "$stdout_file" help.txt
    check "$command --help begins with how it is used" grep -q "^Usage: dmstore $command " help.txt
    check_output "$command --help is at most 80 columns wide" "" awk 'NR > 1 && length > 80' help.txt
    check_error "$command with an unknown option is a usage error" 2 "unknown option '--no-such'" \
        dmstore "$command" --no-such
    if [ "$command" = devices ]; then # a store is not needed
        check_error "$command with an argument is a usage error" 2 "dmstore $command --help" dmstore "$command" it
    else
        check_error "$command without arguments is a usage error" 2 "dmstore $command --help" dmstore "$command"
    fi

    if [ ! -f "$page" ]; then
        fail "$command has a man page" "there is no $page"
        continue
    fi
    pass "$command has a man page"
    check_output "the page of $command describes the options of --help" "$(help_options "$command")" \
        page_options "$page"
    check_output "the page of $command names no others" "" \
        comm -13 <(help_options "$command") <(synopsis_options "$page")
    check "dmstore(1) lists $command" grep -q "^\.It Cm $command\$" "$man_dir/dmstore.1"
done

for page in "$man_dir"/*.[135]; do
    if command -v mandoc >/dev/null; then
        check_output "$(basename "$page") is clean" "" mandoc -Tlint -W warning "$page"
    else
        skip "$(basename "$page") is clean" "no mandoc"
    fi
done

check_error "no command is a usage error" 2 "Usage: dmstore COMMAND" dmstore
check_error "an unknown command is a usage error" 2 "unknown command 'ingets'; did you mean 'ingest'?" dmstore ingets
done_testing
