package io.lacuna.fs.ext;

/**
 * Where the copies of the superblock and of the group descriptors lie. Source: kernel documentation
 * {@code filesystems/ext4/blockgroup}.
 */
record GroupLayout(Superblock superblock) {

    /** @return whether a group begins with the superblock or a copy of it */
    boolean hasSuperblock(int group) {
        if (group == 0) {
            return true;
        }
        if (superblock.features().has(Features.SPARSE_SUPER2)) {
            return group == superblock.backupGroups().first() || group == superblock.backupGroups().second();
        }
        return group == 1 || !superblock.features().has(Features.SPARSE_SUPER)
                || isPowerOf(3, group) || isPowerOf(5, group) || isPowerOf(7, group);
    }

    private static boolean isPowerOf(int base, int number) {
        int rest = number;
        while (rest % base == 0) {
            rest /= base;
        }
        return rest == 1;
    }

    /** @return the block that a group's copies begin at: its first one, but behind the boot block, which a cluster may share */
    long baseStart(int group) {
        return group == 0 ? groupZeroSuperblock() : superblock.groupStart(group);
    }

    /** @return number of blocks of a group for the superblock, the descriptors and the room kept for more of them */
    long baseBlocks(int group) {
        long metaGroup = group / superblock.descriptorsPerBlock();
        boolean copy = hasSuperblock(group);
        if (metaGroup < superblock.firstMetaGroup() || !superblock.features().has(Features.META_BG)) {
            return copy ? 1 + superblock.firstMetaGroup() + superblock.reservedDescriptorBlocks() : 0;
        }
        int place = group % superblock.descriptorsPerBlock();
        boolean descriptors = place == 0 || place == 1 || place == superblock.descriptorsPerBlock() - 1;
        return (copy ? 1 : 0) + (descriptors ? 1 : 0);
    }

    /** @return the block with a given block of the descriptors, the one the kernel reads */
    long descriptorBlock(long index) {
        if (index < superblock.firstMetaGroup()) {
            return groupZeroSuperblock() + 1 + index;
        }
        int group = (int) (index * superblock.descriptorsPerBlock());
        return baseStart(group) + (hasSuperblock(group) ? 1 : 0);
    }

    private long groupZeroSuperblock() {
        return superblock.blockSize() == Superblock.OFFSET ? 1 : 0;
    }
}
