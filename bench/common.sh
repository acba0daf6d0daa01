# Shared by workloads.sh, tool.sh and run.sh: where things lie, and attaching and mounting with a clean-up that
# always runs. Source it with `here` set to this directory.
# shellcheck shell=bash disable=SC2154,SC2034

LACUNA_BENCH_DIR=${LACUNA_BENCH_DIR:-/var/tmp/lacuna-bench}
bin=$LACUNA_BENCH_DIR/bin

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_tools() {
    local tool missing=()
    for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    [ ${#missing[@]} -eq 0 ] || die "missing programs: ${missing[*]}" \
        "(Debian packages: gcc qemu-utils e2fsprogs ntfs-3g fdisk libnbd-bin fuse3 psmisc)"
}

need_root() { [ "$(id -u)" = 0 ] || die "needs root, for loop devices and mounts"; }

one_at_a_time() {
    exec 9>"$LACUNA_BENCH_DIR/lock"
    flock --nonblock 9 || die "another script of the benchmark is at work in $LACUNA_BENCH_DIR"
}

build_programs() {
    local name
    mkdir -p "$bin"
    for name in gen floor timed; do
        [ "$bin/$name" -nt "$here/$name.c" ] || gcc -O2 -Wall -Wextra -o "$bin/$name" "$here/$name.c"
    done
}

# What QEMU calls a format.
qemu_format() { case $1 in vhd) echo vpc ;; *) echo "$1" ;; esac; }

host_bytes() { echo $(( $(stat -c '%b * %B' "$1") )); }
free_on_host() { df --output=avail -B1 "$1" | tail -1; }

# What has to be undone, newest last. Each entry is one command line; `undo` runs the newest and forgets it.
undo_stack=()
later() { undo_stack+=("$1"); }
undo() {
    local last=$(( ${#undo_stack[@]} - 1 )) command
    command=${undo_stack[last]}
    unset "undo_stack[last]"
    eval "$command"
}
undo_all() { while [ ${#undo_stack[@]} -gt 0 ]; do undo || true; done; }
clean_up_on_exit() {
    trap undo_all EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

wait_for() { # TEST-COMMAND...: up to 20 s
    local try
    for try in {1..1000}; do "$@" && return 0; sleep 0.02; done
    echo "gave up waiting for: $*" >&2
    return 1
}

# Sets `fs_type`, `fs_start` and `fs_length` to the first volume of an image (all workloads have exactly one).
find_volume() {
    read -r _ fs_type fs_start fs_length < <("$bin/floor" volumes "$1") || die "no volume in $1"
}

attach_volume() { # FILE [losetup options]: sets `device`
    local file=$1
    shift
    device=$(losetup --find --show --offset "$fs_start" --sizelimit "$fs_length" "$@" "$file")
    later "losetup -d $device"
}

not_in_use() { ! fuser -s "$1" 2>/dev/null; }

mount_volume() { # ro|rw: mounts `device`, sets `mount_point`
    local options=rw,noatime
    [ "$1" = rw ] || options=ro
    mount_point=$(mktemp -d "${TMPDIR:-/tmp}/lacuna-bench.XXXXXX")
    later "rmdir $mount_point"
    if [ "$fs_type" = ntfs ]; then
        # Kept as a child and waited for: it writes after umount(8) has returned, and its CPU time should count.
        ntfs-3g -o "no_detach,big_writes,$options" "$device" "$mount_point" &
        later "umount $mount_point; wait $!"
        wait_for mountpoint -q "$mount_point"
    else
        # noload: a read-only mount would still replay a journal, or fail on a read-only device.
        [ "$1" = rw ] || options+=,noload
        mount -t ext4 -o "$options" "$device" "$mount_point"
        later "umount $mount_point"
    fi
}

# Serves an image as a raw file through qemu-nbd and nbdfuse, both kept as children; sets `nbd_file`.
serve() { # ro|rw IMAGE FORMAT [qemu-nbd options]
    local access=$1 image=$2 format=$3 directory socket nbdfuse=(nbdfuse)
    shift 3
    [ "$access" = rw ] || { nbdfuse+=(--readonly); set -- --read-only "$@"; }
    directory=$(mktemp -d "${TMPDIR:-/tmp}/lacuna-bench.XXXXXX")
    socket=$directory/socket
    mkdir "$directory/fuse"
    later "rm -r --one-file-system $directory"
    if [ "$format" = vhd ]; then
        # Its size is that of the header, not what the geometry comes to.
        set -- "$@" --image-opts "driver=vpc,file.filename=$image,force_size_calc=current_size"
    else
        set -- "$@" --format="$format" "$image"
    fi
    qemu-nbd --persistent --socket="$socket" "$@" &
    later "kill $!; wait $!"
    wait_for test -S "$socket"
    "${nbdfuse[@]}" "$directory/fuse/disk" "nbd+unix:///?socket=$socket" &
    later "fusermount3 -u $directory/fuse; wait $!"
    nbd_file=$directory/fuse/disk
    wait_for test -f "$nbd_file"
}
