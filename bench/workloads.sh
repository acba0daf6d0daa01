#!/bin/bash
# workloads.sh w1|w2|qcow2|w4|all ...: builds the images of the benchmark in $LACUNA_BENCH_DIR
# (default /var/tmp/lacuna-bench).
#
#   w1      w1.raw     16 GiB, GPT, one ext4 from 1 MiB on
#   w2      w2.raw     16 GiB, MBR, one NTFS from 1 MiB on, written by NTFS-3G
#   qcow2   w1.qcow2, w2.qcow2   qemu-img convert of both (which must exist)
#   w4      w4.raw     15 TiB, sparse, GPT, one ext4 that mke2fs initialised lazily; about 2 GiB written
#
# What gen.c leaves in the file systems is listed with its SHA-256 in NAME.manifest. An image that is already there
# is left alone: delete it to build it again. Needs root. SCALE=0.05 gives small images, for trying the scripts out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

SCALE=${SCALE:-1}
GIB=$((1 << 30))
LIMIT=$((75 * 1000 * 1000 * 1000))      # bytes that this directory may grow to, the working copy of run.sh included
WORKING_COPY=$((10 * GIB))

scaled() { awk -v bytes="$1" -v scale="$SCALE" 'BEGIN { printf "%.0f", bytes * scale }'; }

# 16 GiB; at smaller scales whole GiB, rounded up.
scaled_disk() { echo $(( $(awk -v scale="$SCALE" 'BEGIN { printf "%d", 16 * scale + 0.999 }') * GIB )); }

# Refuses before it starts, with what it would take, rather than filling the host.
need_space() { # NAME BYTES
    local used available wanted
    wanted=$(( $(scaled "$2") + $(scaled $WORKING_COPY) ))
    used=$(du -s --block-size=1 "$LACUNA_BENCH_DIR" | cut -f1)
    available=$(free_on_host "$LACUNA_BENCH_DIR")
    [ "$wanted" -le "$available" ] || die "$1 needs $((wanted >> 20)) MiB (a working copy for run.sh included)," \
        "but only $((available >> 20)) MiB are free in $LACUNA_BENCH_DIR; set LACUNA_BENCH_DIR to a larger disk"
    [ $((used + wanted)) -le "$LIMIT" ] || die "$1 would take $LACUNA_BENCH_DIR past" \
        "$((LIMIT / 1000000000)) GB; delete images first"
}

manifest() { # DIRECTORY
    (cd "$1" && find . -type f -print0 | xargs -0 -r -P2 -n100 sha256sum | LC_ALL=C sort -k2)
}

make_file_system() { # ext4|ntfs [mke2fs extended options]
    case $1 in
        ext4) mkfs.ext4 -q -F -E "nodiscard${2:+,$2}" "$device" ;;
        ntfs) mkntfs --quick --quiet --force -p "$((fs_start / 512))" -H 255 -S 63 "$device" ;;
    esac
}

build() { # NAME SIZE gpt|dos PARTITION-TYPE ext4|ntfs SCALE [mke2fs extended options]
    local name=$1 size=$2 table=$3 partition=$4 type=$5 scale=$6 options=${7:-}
    local image=$LACUNA_BENCH_DIR/$name.raw
    [ ! -e "$image" ] || { say "$name.raw is there already"; return; }
    say "building $name.raw"
    later "rm -f $image.part $image.part.manifest"
    truncate -s "$size" "$image.part"
    echo "start=1MiB, type=$partition" | sfdisk --quiet --label "$table" "$image.part"
    find_volume "$image.part"
    fs_type=$type
    attach_volume "$image.part"
    make_file_system "$type" "$options"
    mount_volume rw
    "$bin/gen" "$mount_point" "$scale"
    manifest "$mount_point" >"$image.part.manifest"
    undo                # umount
    undo                # rmdir
    wait_for not_in_use "$device"
    undo                # losetup -d
    sync "$image.part"
    mv "$image.part.manifest" "$LACUNA_BENCH_DIR/$name.manifest"
    mv "$image.part" "$image"
    undo
    say "$name.raw: $(host_bytes "$image") bytes on the host, $(wc -l <"$LACUNA_BENCH_DIR/$name.manifest") files"
    "$bin/floor" scan "$image" >&2
}

to_qcow2() { # NAME
    local source=$LACUNA_BENCH_DIR/$1.raw target=$LACUNA_BENCH_DIR/$1.qcow2
    [ ! -e "$target" ] || { say "$1.qcow2 is there already"; return; }
    [ -e "$source" ] || die "$1.qcow2 needs $1.raw: build it first"
    say "building $1.qcow2"
    later "rm -f $target.part"
    qemu-img convert -f raw -O qcow2 "$source" "$target.part"
    sync "$target.part"
    mv "$target.part" "$target"
    undo
    say "$1.qcow2: $(host_bytes "$target") bytes on the host"
}

make_workload() {
    case $1 in
        w1) [ -e "$LACUNA_BENCH_DIR/w1.raw" ] || need_space w1 $((10 * GIB))
            build w1 "$(scaled_disk)" gpt linux ext4 "$SCALE" ;;
        w2) [ -e "$LACUNA_BENCH_DIR/w2.raw" ] || need_space w2 $((10 * GIB))
            build w2 "$(scaled_disk)" dos 7 ntfs "$SCALE" ;;
        qcow2)
            for name in w1 w2; do
                [ -e "$LACUNA_BENCH_DIR/$name.qcow2" ] || need_space "$name.qcow2" $((10 * GIB))
                to_qcow2 "$name"
            done ;;
        w4) [ -e "$LACUNA_BENCH_DIR/w4.raw" ] || need_space w4 $((4 * GIB))
            build w4 $((15 << 40)) gpt linux ext4 "$(awk -v s="$SCALE" 'BEGIN { print 0.22 * s }')" \
                lazy_itable_init=1,lazy_journal_init=1 ;;
        all) for name in w1 w2 qcow2 w4; do make_workload "$name"; done ;;
        *) die "unknown workload $1" ;;
    esac
}

main() {
    [ $# -gt 0 ] || { sed -n '2,11s/^# \?//p' "$0" >&2; exit 2; }
    need_root
    need_tools gcc qemu-img sfdisk losetup mkfs.ext4 mkntfs ntfs-3g fuser sha256sum
    mkdir -p "$LACUNA_BENCH_DIR"
    one_at_a_time
    build_programs
    clean_up_on_exit
    local workload
    for workload in "$@"; do make_workload "$workload"; done
}

# In one line, so that bash has read the whole file before it starts and an edit meanwhile does no harm.
main "$@"; exit
