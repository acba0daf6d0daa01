#!/bin/bash
# copy.sh: measures `lacuna copy` beside cp and qemu-img on the live bytes of w1.raw, which workloads.sh makes. Prints a
# Markdown table and keeps it in bench/results/. Needs root. Meant for a machine that does nothing else.
#
#   LACUNA="../lacuna"      the command before "copy IMAGE OUT"
#   RUNS=3                  rounds; in each, every case runs once, caches dropped before
#   CASES="cp raw …"        only these, by the names in `cases`
#   SECONDS_LIMIT=900       a run that takes longer is stopped and marked as failed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

LACUNA=${LACUNA:-$here/../lacuna}
RUNS=${RUNS:-3}
SECONDS_LIMIT=${SECONDS_LIMIT:-900}
CASES=${CASES:-cp raw qemu-raw qcow2 qemu-qcow2 qcow2-c qemu-qcow2-c w1-raw from-qcow2 qemu-from-qcow2}
live=$LACUNA_BENCH_DIR/live.raw
packed=$LACUNA_BENCH_DIR/live.qcow2
out=$LACUNA_BENCH_DIR/copy.out
stamp=$(date +%Y-%m-%d-%H%M%S)
table=$here/results/copy-$stamp.tsv
report=$here/results/copy-$stamp.md
logs=$LACUNA_BENCH_DIR/logs/copy-$stamp

# What each case runs; whoever does not make its copy durable itself is followed by a timed sync.
command_of() { # CASE: sets `command`
    local lacuna="$LACUNA copy --force" convert='qemu-img convert'
    case $1 in
        cp) command="cp --sparse=always $live $out && sync $out" ;;
        raw) command="$lacuna --to raw $live $out" ;;
        qemu-raw) command="$convert -f raw -O raw $live $out && sync $out" ;;
        qcow2) command="$lacuna --to qcow2 $live $out" ;;
        qemu-qcow2) command="$convert -f raw -O qcow2 $live $out && sync $out" ;;
        qcow2-c) command="$lacuna --to qcow2 --compress $live $out" ;;
        qemu-qcow2-c) command="$convert -c -f raw -O qcow2 $live $out && sync $out" ;;
        w1-raw) command="$lacuna --to raw $LACUNA_BENCH_DIR/w1.raw $out" ;;
        from-qcow2) command="$lacuna --to raw $packed $out" ;;
        qemu-from-qcow2) command="$convert -f qcow2 -O raw $packed $out && sync $out" ;;
        *) die "unknown case $1" ;;
    esac
}

# The live bytes alone, so that tools which know nothing of free space have the same to copy.
make_sources() {
    local w1=$LACUNA_BENCH_DIR/w1.raw
    [ -e "$w1" ] || die "$w1 is not there: run workloads.sh w1 first"
    if [ ! -e "$live" ]; then
        cp --sparse=always "$w1" "$live.part"
        "$bin/floor" punch "$live.part" >&2
        mv "$live.part" "$live"
    fi
    [ -e "$packed" ] || qemu-img convert -f raw -O qcow2 "$live" "$packed"
    sync "$live" "$packed"
}

measure() { # CASE ROUND
    local log=$logs/$1.$2 numbers
    rm -f "$out"
    sync
    sleep 1
    echo 3 >/proc/sys/vm/drop_caches
    command_of "$1"
    : >"$log.time"
    "$bin/timed" "$log.time" "$SECONDS_LIMIT" bash -c "$command" >"$log.out" 2>&1 </dev/null || true
    numbers=$(tail -1 "$log.time")
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$numbers" "$(host_bytes "$out" 2>/dev/null || echo 0)" >>"$table"
    say "$(tail -1 "$table" | tr '\t' ' ')"
}

summary() {
    awk -F'\t' '
        function median(list,   n, a, i, j, t) {
            n = split(list, a, " ")
            for (i = 2; i <= n; i++) {
                t = a[i] + 0
                for (j = i - 1; j > 0 && a[j] + 0 > t; j--) a[j + 1] = a[j]
                a[j + 1] = t
            }
            low = a[1]; high = a[n]
            return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
        }
        { if (!($1 in wall)) order[++count] = $1
          if ($3 != 0) failed[$1] = failed[$1] " " $3
          wall[$1] = wall[$1] " " $4; cpu[$1] = cpu[$1] " " $5 + $6; rss[$1] = rss[$1] " " $7; size[$1] = $9
          time[$1, $2] = $4 }
        END {
            print "| case | runs | wall s: median (min–max) | × cp | CPU s | RSS MB | copy, host MB |"
            print "| --- | --: | --: | --: | --: | --: | --: |"
            for (i = 1; i <= count; i++) {
                key = order[i]; ratios = ""; runs = 0
                for (r = 1; r <= 1000; r++) if ((key, r) in time) {
                    runs++
                    if (("cp", r) in time) ratios = ratios " " time[key, r] / time["cp", r]
                }
                middle = median(wall[key]); lowest = low; highest = high
                printf "| %s | %d%s | %.2f (%.2f–%.2f) | %s | %.2f | %.0f | %.0f |\n", key, runs,
                    key in failed ? ", failed with" failed[key] : "", middle, lowest, highest,
                    ratios == "" ? "-" : sprintf("%.2f", median(ratios)), median(cpu[key]),
                    median(rss[key]) * 1024 / 1e6, size[key] / 1e6
            }
        }' "$table"
}

write_report() { # also of what was measured until an interruption
    [ -s "$table" ] || return 0
    {
        echo "# Copies, measured $stamp"
        echo
        echo "- $(nproc) CPUs, Linux $(uname -r), $(findmnt -no FSTYPE -T "$LACUNA_BENCH_DIR"), $(qemu-img --version | head -1)"
        echo "- $(host_bytes "$live") bytes of live data in $(stat -c %s "$live"); load average $load before," \
            "$(cut -d' ' -f1-3 /proc/loadavg) after"
        echo
        summary
    } >"$report"
    cat "$report"
    say "kept in $report; single runs in $table; logs in $logs"
}

load=
main() {
    local cases round i
    need_root
    need_tools gcc qemu-img findmnt
    mkdir -p "$here/results" "$logs"
    one_at_a_time
    build_programs
    clean_up_on_exit
    make_sources
    $LACUNA --version >&2
    [ $((2 * $(host_bytes "$live"))) -le "$(free_on_host "$LACUNA_BENCH_DIR")" ] ||
        die "a copy needs $(($(host_bytes "$live") >> 20)) MiB in $LACUNA_BENCH_DIR, and twice that is not free"
    read -ra cases <<<"$CASES"
    load=$(cut -d' ' -f1-3 /proc/loadavg)
    : >"$table"
    later write_report
    later "rm -f $out"
    for round in $(seq "$RUNS"); do
        # Each round starts with another case: what one leaves behind does not always meet the same next one.
        for i in "${!cases[@]}"; do
            measure "${cases[(i + round - 1) % ${#cases[@]}]}" "$round"
        done
    done
    undo
    undo
}

# In one line, so that bash has read the whole file before it starts and an edit meanwhile does no harm.
main "$@"; exit
