#!/bin/bash
# tool.sh fstrim|nbd-fstrim|virt-sparsify|compactvd IMAGE FORMAT: runs one peer on an image.
# tool.sh verify IMAGE FORMAT MANIFEST RAW: checks what an image holds; RAW is the same disk as a raw image.
# run.sh calls it, and sets what libguestfs needs in the environment. Daemons are kept as children and
# waited for, so that their CPU time is counted. Needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

# Status 0 and "yes", or status 1 and the differences.
verify() { # IMAGE FORMAT MANIFEST RAW
    local image=$1 format=$2 manifest=$3 file=$1 bad=()
    find_volume "$4"
    case $format in qcow2 | vdi | vmdk | vhdx)
        qemu-img check -q -f "$format" "$image" >&2 || bad+=("qemu-img check: status $?") ;;
    esac
    if [ "$format" != raw ]; then
        serve ro "$image" "$format"
        file=$nbd_file
    fi
    attach_volume "$file" --read-only
    if [ "$fs_type" = ext ]; then
        e2fsck -fn "$device" >&2 || bad+=("e2fsck: status $?")
    else
        ntfsfix --no-action "$device" >&2 || bad+=("ntfsfix: status $?")
    fi
    mount_volume ro
    (cd "$mount_point" && find . -type f -print0 | xargs -0 -r -P2 -n100 sha256sum | LC_ALL=C sort -k2) |
        diff "$manifest" - >&2 || bad+=("content differs")
    [ ${#bad[@]} -eq 0 ] || { (IFS=';'; echo "NO: ${bad[*]}"); return 1; }
    echo yes
}

clean_up_on_exit
tool=$1 image=$2 format=$3
case $tool in
    fstrim | nbd-fstrim)
        find_volume "$image"
        file=$image
        if [ "$tool" = nbd-fstrim ]; then
            serve rw "$image" "$format" --discard=unmap --detect-zeroes=unmap
            file=$nbd_file
        fi
        attach_volume "$file"
        mount_volume rw
        fstrim -v "$mount_point"
        undo_all
        sync "$image" ;;
    virt-sparsify)
        virt-sparsify --quiet --in-place --format "$format" "$image"
        sync "$image" ;;
    compactvd)
        java -cp "$COMPACTVD" io.github.eternalbits.compactvd.CompactVD -u -v -i "$image"
        sync "$image" ;;
    verify) verify "$image" "$format" "$4" "$5" ;;
    *) die "unknown tool $tool" ;;
esac
