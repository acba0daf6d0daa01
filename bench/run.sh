#!/bin/bash
# run.sh [w1|w2|w1-qcow2|w2-qcow2|w4|w1-vdi|w1-vmdk|w1-vhd|w1-vhdx|w2-vdi ...]: measures Lacuna beside its peers on the
# images that workloads.sh made (default: all that are there); a VDI, VMDK, VHD or VHDX is converted for the occasion
# and removed afterwards. Prints a Markdown report and keeps it in bench/results/. Needs root. Meant for a
# machine that does nothing else.
#
#   LACUNA="../lacuna"      the command before "reclaim IMAGE"
#   RUNS=5                  rounds; in each, every tool runs once, on a fresh copy
#   TOOLS="floor lacuna …"  only these; floor-raw is the floor on the raw disk, in the rounds of its qcow2 form
#   COMPACTVD=CLASSPATH     of compactVD and commons-cli, to measure it too
#   SECONDS_LIMIT=900       a run that takes longer is stopped and counts as failed
#   WARM=1                  start each tool once (--version) after the caches were dropped: its program is cached,
#                           the image is not
# shellcheck disable=SC2317  # what the undo stack calls looks unreachable
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

LACUNA=${LACUNA:-$here/../lacuna}
RUNS=${RUNS:-5}
TOOLS=${TOOLS:-floor floor-raw lacuna lacuna-punch lacuna-compact fstrim nbd-fstrim virt-sparsify compactvd}
COMPACTVD=${COMPACTVD:-}
SECONDS_LIMIT=${SECONDS_LIMIT:-900}
WARM=${WARM:-}
stamp=$(date +%Y-%m-%d-%H%M%S)
results=$here/results
table=$results/$stamp.tsv
report=$results/$stamp.md
logs=$LACUNA_BENCH_DIR/logs/$stamp
read -ra lacuna <<<"$LACUNA"

format_of() { case $1 in *-*) echo "${1#*-}" ;; *) echo raw ;; esac; }
pristine() { echo "$LACUNA_BENCH_DIR/${1%-*}.$(format_of "$1")"; }
raw_of() { echo "$LACUNA_BENCH_DIR/${1%-*}.raw"; }

# Makes the pristine image of a format that workloads.sh does not keep, for as long as it is needed.
convert_if_missing() { # WORKLOAD
    local file
    file=$(pristine "$1")
    [ ! -e "$file" ] || return 0
    [ -e "$(raw_of "$1")" ] || die "$file is not there: run workloads.sh first"
    say "converting to $file"
    later "rm -f $file"
    converted=yes
    local options=()
    [ "$(qemu_format "$(format_of "$1")")" != vpc ] || options=(-o force_size=on)
    qemu-img convert -f raw -O "$(qemu_format "$(format_of "$1")")" "${options[@]}" "$(raw_of "$1")" "$file"
    sync "$file"
}

# Starts libguestfs' appliance once. This also builds its cache, so that no timed run has to.
appliance_starts() {
    timeout 300 guestfish -a /dev/null run &>"$logs/guestfish.log" && return
    # With a /dev/kvm that does not work, libguestfs has to be told.
    export LIBGUESTFS_BACKEND_SETTINGS=force_tcg
    timeout 300 guestfish -a /dev/null run &>>"$logs/guestfish.log"
}

# Says in `why` why a tool cannot run here; empty if it can.
check_available() { # TOOL
    local program
    why=
    case $1 in
        lacuna*) command -v "${lacuna[0]}" >/dev/null || why="${lacuna[0]} not found" ;;
        nbd-fstrim)
            for program in qemu-nbd nbdfuse fusermount3; do
                command -v "$program" >/dev/null || why="$program not installed"
            done ;;
        virt-sparsify)
            if ! command -v virt-sparsify >/dev/null; then why="not installed"
            elif ! appliance_starts; then why="its appliance does not start here, see $logs/guestfish.log"
            fi ;;
        compactvd) [ -n "$COMPACTVD" ] || why="COMPACTVD is not set" ;;
    esac
}

# For formats other than raw and qcow2, "floor" runs on the same disk as a raw image.
applies() { # TOOL FORMAT
    case $1/$2 in
        floor-raw/qcow2 | fstrim/raw | nbd-fstrim/qcow2 | virt-sparsify/raw | virt-sparsify/qcow2) ;;
        lacuna-*/raw | lacuna-*/qcow2 | compactvd/raw | compactvd/qcow2 | compactvd/vhdx) return 1 ;;
        floor/* | lacuna/* | lacuna-*/* | compactvd/*) ;;
        *) return 1 ;;
    esac
}

command_of() { # TOOL IMAGE FORMAT: sets `command`
    case $1 in
        floor*) command=("$bin/floor" punch "$2") ;;
        lacuna) command=("${lacuna[@]}" reclaim "$2") ;;
        lacuna-*) command=("${lacuna[@]}" reclaim --mode "${1#lacuna-}" "$2") ;;
        *) command=("$here/tool.sh" "$1" "$2" "$3") ;;
    esac
}

# The host may still be trimming what the last restore deleted. Waits for a second without I/O, for 30 at most.
wait_until_quiet() {
    local numbers last="" now i
    numbers=/sys/dev/block/$(findmnt -no MAJ:MIN -T "$LACUNA_BENCH_DIR")/stat
    [ -r "$numbers" ] || { sleep 2; return; }
    for i in $(seq 30); do
        now=$(awk '{ print $1, $5, $12 }' "$numbers")
        [ "$now" != "$last" ] || return 0
        last=$now
        sleep 1
    done
}

restore() { # PRISTINE IMAGE
    rm -f "$2"
    cp --sparse=always "$1" "$2"
    sync "$2"
    wait_until_quiet
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# Free guest bytes that qemu-img still shows as mapped data, and where they lie in the image. It decides without our own
# readers.
mapped_free() { # IMAGE FORMAT FREE-LIST: one line a range: host offset, length
    qemu-img map -f "$(qemu_format "$2")" --output=json "$1" | awk '
        NR == FNR { start[++n] = $1; end[n] = $1 + $2; next }
        /"data": *true/ {
          s = l = o = 0
          if (match($0, /"start": *[0-9]+/)) { s = substr($0, RSTART, RLENGTH); sub(/.*: */, "", s) }
          if (match($0, /"length": *[0-9]+/)) { l = substr($0, RSTART, RLENGTH); sub(/.*: */, "", l) }
          if (match($0, /"offset": *[0-9]+/)) { o = substr($0, RSTART, RLENGTH); sub(/.*: */, "", o) }
          s += 0; l += 0; o += 0
          while (i < n && end[i + 1] <= s) i++
          for (k = i + 1; k <= n && start[k] < s + l; k++) {
              from = start[k] > s ? start[k] : s
              to = end[k] < s + l ? end[k] : s + l
              printf "%.0f %.0f\n", o + from - s, to - from
          } }' "$3" -
}

# Brings the program files of a tool back into the cache.
warm_up() { # TOOL
    local program programs=()
    case $1 in
        floor*) programs=("$bin/floor") ;;
        lacuna*) "${lacuna[@]}" --version ;;
        fstrim) programs=(bash losetup mount fstrim umount ntfs-3g) ;;
        nbd-fstrim) programs=(bash qemu-nbd nbdfuse losetup mount fstrim umount ntfs-3g) ;;
        virt-sparsify) programs=(virt-sparsify) ;;
    esac
    for program in "${programs[@]}"; do "$program" --version; done
}

measure() { # WORKLOAD TOOL ROUND
    local workload=$1 tool=$2 round=$3 format image log manifest before after stale mapped=- verified=- numbers source
    format=$(format_of "$workload")
    source=$(pristine "$workload")
    if [ "$tool" = floor-raw ] || { [ "$tool" = floor ] && [ "$format" != qcow2 ]; }; then
        format=raw
        source=$(raw_of "$workload")
    fi
    image=$LACUNA_BENCH_DIR/work.$format
    log=$logs/$workload.$tool.$round
    restore "$source" "$image"
    before=$(host_bytes "$image")
    command_of "$tool" "$image" "$format"
    [ -z "$WARM" ] || warm_up "$tool" &>/dev/null </dev/null || true
    : >"$log.time"
    "$bin/timed" "$log.time" "$SECONDS_LIMIT" "${command[@]}" >"$log.out" 2>&1 </dev/null || true
    numbers=$(tail -1 "$log.time")
    sync "$image"
    after=$(host_bytes "$image")
    # Against the free space of the pristine image: what the tool was given to reclaim, whatever it did to the bitmaps.
    case $format in
        raw) stale=$("$bin/floor" stale "$image" "$logs/$workload.free") ;;
        qcow2)
            stale=$("$bin/floor" stale "$image" "$logs/$workload.free")
            mapped=$(mapped_free "$image" "$format" "$logs/$workload.free" | awk '{ sum += $2 } END { printf "%.0f", sum }') ;;
        vhdx) stale=- ;;    # qemu-img map does not tell where a VHDX keeps its blocks
        *)
            mapped_free "$image" "$format" "$logs/$workload.free" >"$log.mapped"
            mapped=$(awk '{ sum += $2 } END { printf "%.0f", sum }' "$log.mapped")
            stale=$("$bin/floor" stale "$image" "$log.mapped") ;;
    esac
    if [ "$round" = 1 ]; then
        manifest=$LACUNA_BENCH_DIR/${workload%-*}.manifest
        verified=$("$here/tool.sh" verify "$image" "$format" "$manifest" "$(raw_of "$workload")" 2>"$log.verify") || true
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$workload" "$tool" "$round" "$numbers" \
        "$before" "$after" "$stale" "$mapped" "${verified:-NO: see $log.verify}" >>"$table"
    say "$(tail -1 "$table" | tr '\t' ' ')"
    rm -f "$image"
}

machine() {
    local model memory commit
    model=$(lscpu | awk -F': +' '/^Model name/ { print $2; exit }')
    memory=$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    commit=$(git -C "$here" describe --always --dirty 2>/dev/null || echo 'no git')
    echo "- $(nproc) CPUs, $model, $memory RAM, Linux $(uname -r)"
    echo "- host file system: $(findmnt -no FSTYPE,OPTIONS,SOURCE -T "$LACUNA_BENCH_DIR" | tr -s ' ')"
    echo "- $(qemu-img --version | head -1); $(e2fsck -V 2>&1 | head -1); $(ntfs-3g --version 2>&1 | head -1)"
    echo "- $(fstrim --version)"
    ! command -v nbdfuse >/dev/null || echo "- $(nbdfuse --version | head -1)"
    if [[ " $TOOLS " == *" virt-sparsify "* ]] && command -v virt-sparsify >/dev/null; then
        echo "- $(virt-sparsify --version), libguestfs: ${LIBGUESTFS_BACKEND_SETTINGS:-its default settings}"
    fi
    echo "- Java: $(java -version 2>&1 | head -1); Lacuna: \`$LACUNA reclaim IMAGE\`, $commit"
    echo "- rounds: $RUNS${WARM:+, programs cached}; load average $1 before, $(cut -d' ' -f1-3 /proc/loadavg) after"
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
        { key = $1 "\t" $2; if (!(key in runs)) order[++count] = key
          runs[key]++; if ($4 != 0) failed[key] = failed[key] " " $4
          wall[key] = wall[key] " " $5; cpu[key] = cpu[key] " " $6 + $7; rss[key] = rss[key] " " $8
          all[key] = all[key] " " $9
          before[key] = before[key] " " $10; after[key] = after[key] " " $11; stale[key] = $12 == "-" ? "-" : stale[key] " " $12
          mapped[key] = $13 == "-" ? "-" : mapped[key] " " $13
          if ($14 != "-" || !(key in ok)) ok[key] = $14
          time[key, $3] = $5 }
        END {
            print "| workload | tool | runs | wall s: median (min–max) | × floor | × raw floor | CPU s | CPU s, machine |" \
                " RSS MB | host before MB | host after MB | stale MB | stale MB, mapped | survived |"
            print "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |"
            for (i = 1; i <= count; i++) {
                key = order[i]; split(key, name, "\t"); ratios = raw = ""
                for (r = 1; r <= 1000; r++) if ((key, r) in time) {
                    if ((name[1] "\tfloor", r) in time) ratios = ratios " " time[key, r] / time[name[1] "\tfloor", r]
                    if ((name[1] "\tfloor-raw", r) in time) raw = raw " " time[key, r] / time[name[1] "\tfloor-raw", r]
                }
                middle = median(wall[key]); lowest = low; highest = high
                printf "| %s | %s | %d%s | %.2f (%.2f–%.2f) | %s | %s | %.2f | %.2f | %.0f |" \
                    " %.0f | %.0f | %s | %s | %s |\n",
                    name[1], name[2], runs[key], key in failed ? ", failed with" failed[key] : "",
                    middle, lowest, highest, ratios == "" ? "-" : sprintf("%.2f", median(ratios)),
                    raw == "" ? "-" : sprintf("%.2f", median(raw)),
                    median(cpu[key]), median(all[key]), median(rss[key]) * 1024 / 1e6,
                    median(before[key]) / 1e6, median(after[key]) / 1e6,
                    stale[key] == "-" ? "-" : sprintf("%.1f", median(stale[key]) / 1e6),
                    mapped[key] == "-" ? "-" : sprintf("%.1f", median(mapped[key]) / 1e6), ok[key]
            }
        }' "$table"
}

left_out=()
load=
interrupted=yes
write_report() { # also of what was measured until an interruption
    [ -s "$table" ] || return 0
    {
        echo "# Measured $stamp"
        echo
        machine "$load"
        local line
        for line in "${left_out[@]}"; do echo "- left out: $line"; done
        [ -z "$interrupted" ] || echo "- stopped before the end"
        echo
        summary
    } >"$report"
    cat "$report"
    say "kept in $report; single runs in $table; logs in $logs"
}

main() {
    local workload tool file largest=0 format round i
    local workloads=("$@") tools=() candidates
    export COMPACTVD LIBGUESTFS_BACKEND=direct
    need_root
    need_tools gcc qemu-img losetup fstrim e2fsck ntfs-3g ntfsfix fuser findmnt lscpu sha256sum
    mkdir -p "$results" "$logs"
    one_at_a_time
    build_programs
    clean_up_on_exit
    later "rm -f $LACUNA_BENCH_DIR/work.*"

    if [ $# -eq 0 ]; then
        for workload in w1 w2 w1-qcow2 w2-qcow2 w4; do
            [ ! -e "$(pristine "$workload")" ] || workloads+=("$workload")
        done
    fi
    [ ${#workloads[@]} -gt 0 ] || die "no images in $LACUNA_BENCH_DIR: run workloads.sh first"
    for workload in "${workloads[@]}"; do
        file=$(pristine "$workload")
        [ -e "$file" ] || file=$(raw_of "$workload")
        [ -e "$file" ] || die "$file is not there: run workloads.sh first"
        [ "$(host_bytes "$file")" -le "$largest" ] || largest=$(host_bytes "$file")
    done
    [ $((largest + largest / 20)) -le "$(free_on_host "$LACUNA_BENCH_DIR")" ] ||
        die "the working copy needs $((largest >> 20)) MiB in $LACUNA_BENCH_DIR, and that is not free"

    load=$(cut -d' ' -f1-3 /proc/loadavg)
    for tool in $TOOLS; do
        check_available "$tool"
        if [ -z "$why" ]; then tools+=("$tool"); else left_out+=("$tool: $why"); fi
    done
    : >"$table"
    later write_report
    for workload in "${workloads[@]}"; do
        format=$(format_of "$workload")
        candidates=()
        for tool in "${tools[@]}"; do if applies "$tool" "$format"; then candidates+=("$tool"); fi; done
        converted=
        convert_if_missing "$workload"
        "$bin/floor" list "$(raw_of "$workload")" >"$logs/$workload.free"
        for round in $(seq "$RUNS"); do
            # Each round starts with another tool: what one leaves behind does not always meet the same next one.
            for i in "${!candidates[@]}"; do
                measure "$workload" "${candidates[(i + round - 1) % ${#candidates[@]}]}" "$round"
            done
        done
        [ -z "$converted" ] || undo
    done
    interrupted=
    undo
}

# In one line, so that bash has read the whole file before it starts and an edit meanwhile does no harm.
main "$@"; exit
