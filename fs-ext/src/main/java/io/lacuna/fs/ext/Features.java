package io.lacuna.fs.ext;

import io.lacuna.blockio.UnsupportedException;
import java.nio.ByteBuffer;
import java.util.StringJoiner;

/**
 * The three feature sets of a superblock, 32 bits each at 0x5C, 0x60 and 0x64. What a reader does not know in the second set
 * it must not touch; what it does not know in the third it must not write, and to free blocks is to write.
 *
 * @param compat s_feature_compat
 * @param incompat s_feature_incompat
 * @param roCompat s_feature_ro_compat
 */
record Features(int compat, int incompat, int roCompat) {

    /** A feature: its set and its bit in one number, so that one method can ask for it. */
    private static final long INCOMPAT = 1L << 32;
    private static final long RO_COMPAT = 1L << 33;

    static final long HAS_JOURNAL = 0x0004;
    static final long SPARSE_SUPER2 = 0x0200;
    static final long FAST_COMMIT = 0x0400;

    static final long RECOVER = INCOMPAT | 0x0004;
    static final long JOURNAL_DEV = INCOMPAT | 0x0008;
    static final long META_BG = INCOMPAT | 0x0010;
    static final long SIXTY_FOUR_BIT = INCOMPAT | 0x0080;
    static final long MMP = INCOMPAT | 0x0100;
    static final long FLEX_BG = INCOMPAT | 0x0200;
    static final long EA_INODE = INCOMPAT | 0x0400;
    static final long CSUM_SEED = INCOMPAT | 0x2000;
    static final long INLINE_DATA = INCOMPAT | 0x8000;

    static final long SPARSE_SUPER = RO_COMPAT | 0x0001;
    static final long GDT_CSUM = RO_COMPAT | 0x0010;
    static final long HAS_SNAPSHOT = RO_COMPAT | 0x0080;
    static final long BIGALLOC = RO_COMPAT | 0x0200;
    static final long METADATA_CSUM = RO_COMPAT | 0x0400;
    static final long READONLY = RO_COMPAT | 0x1000;
    static final long SHARED_BLOCKS = RO_COMPAT | 0x4000;

    /** What does not stop us; the places of the names are the bits. Null: unknown. */
    private static final String[] INCOMPAT_NAMES = {"compression", "filetype", "needs_recovery", "journal_dev", "meta_bg", null,
        "extents", "64bit", "mmp", "flex_bg", "ea_inode", null, "dirdata", "metadata_csum_seed", "large_dir", "inline_data",
        "encrypt", "casefold"};
    private static final String[] RO_COMPAT_NAMES = {"sparse_super", "large_file", "btree_dir", "huge_file", "gdt_csum",
        "dir_nlink", "extra_isize", "has_snapshot", "quota", "bigalloc", "metadata_csum", "replica", "read-only", "project",
        "shared_blocks", "verity", "orphan_present"};

    /** filetype … casefold, without compression, dirdata and the unknown ones. */
    private static final int KNOWN_INCOMPAT = 0x3_E7DE;
    /** sparse_super … orphan_present, without has_snapshot, replica, read-only, shared_blocks and the unknown ones. */
    private static final int KNOWN_RO_COMPAT = 0x1_A77F;
    /** dir_prealloc … orphan_file: changes nothing about which blocks are free, known or not. */
    private static final int KNOWN_COMPAT = 0x1F7F;

    /** What the ext3 of the kernel knew; anything more is ext4. */
    private static final int EXT3_INCOMPAT = 0x0016;
    private static final int EXT3_RO_COMPAT = 0x0007;

    /** @param superblock little-endian, from its first byte */
    static Features at(ByteBuffer superblock) {
        return new Features(superblock.getInt(0x5C), superblock.getInt(0x60), superblock.getInt(0x64));
    }

    /** @param feature one of the constants above */
    boolean has(long feature) {
        int set = (feature & INCOMPAT) != 0 ? incompat : (feature & RO_COMPAT) != 0 ? roCompat : compat;
        return (set & (int) feature) != 0;
    }

    /** @return whether group descriptors carry checksums, so that their flags count */
    boolean hasDescriptorChecksums() {
        return has(GDT_CSUM) || has(METADATA_CSUM);
    }

    boolean hasUnknownCompat() {
        return (compat & ~KNOWN_COMPAT) != 0;
    }

    /** @return "ext2", "ext3" or "ext4"; "jbd" for a journal that lies on a volume of its own */
    String type() {
        if (has(JOURNAL_DEV)) {
            return "jbd";
        }
        if ((incompat & ~EXT3_INCOMPAT) != 0 || (roCompat & ~EXT3_RO_COMPAT) != 0) {
            return "ext4";
        }
        return has(HAS_JOURNAL) ? "ext3" : "ext2";
    }

    /** @throws UnsupportedException if there is a feature under which a clear bit might not mean a free block */
    void requireKnown() throws UnsupportedException {
        if (has(JOURNAL_DEV)) {
            throw new UnsupportedException("this volume is the journal of an ext3 or ext4 file system on another volume: "
                    + "nothing in it is free");
        }
        if (has(HAS_SNAPSHOT)) {
            throw new UnsupportedException("the file system has ext4 snapshots (has_snapshot), which may use blocks that it "
                    + "calls free: delete the snapshots in the guest first");
        }
        if (has(SHARED_BLOCKS) || has(READONLY)) {
            throw new UnsupportedException("the file system was built to be read only (" + (has(SHARED_BLOCKS)
                    ? "shared_blocks" : "read-only") + "), often with a hash tree that covers free blocks too: leave it as it is");
        }
        requireKnown("incompatible", incompat & ~KNOWN_INCOMPAT, INCOMPAT_NAMES, 0x60);
        requireKnown("read-only compatible", roCompat & ~KNOWN_RO_COMPAT, RO_COMPAT_NAMES, 0x64);
    }

    private static void requireKnown(String set, int unknown, String[] names, int at) throws UnsupportedException {
        if (unknown == 0) {
            return;
        }
        StringJoiner list = new StringJoiner(", ");
        for (int bit = 0; bit < 32; bit++) {
            if ((unknown >>> bit & 1) != 0) {
                list.add(bit < names.length && names[bit] != null ? names[bit] : "unknown bit 0x" + Integer.toHexString(1 << bit));
            }
        }
        throw new UnsupportedException("ext superblock: " + set + " features (a newer Lacuna may know them)",
                Superblock.OFFSET + at, "only features that leave the meaning of the bitmaps alone", list);
    }
}
