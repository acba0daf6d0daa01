/**
 * Free space of ext2, ext3 and ext4, read from their block bitmaps, and the evidence for trusting them. Reads only.
 *
 * <p>All structures are little-endian but the journal's. Sources: the kernel's documentation {@code filesystems/ext4/},
 * e2fsprogs' {@code doc/} and {@code ext2_fs.h} for the names.
 */
package io.lacuna.fs.ext;
