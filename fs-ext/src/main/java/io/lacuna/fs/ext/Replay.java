package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;

/**
 * What the guest's next boot makes of a file system whose journal is pending, computed in memory: nothing is written. A file that
 * was deleted shortly before the crash still lies in blocks that the disk calls used, and a file that was written in blocks
 * that the disk calls free; so only what is free before and after is free.
 *
 * @param volume after the replay
 * @param superblock after the replay
 * @param freeBefore bytes that the bitmaps on the disk call free
 * @param versions all that the journal logged, that of a cut transaction included
 * @param named bytes that the journal names: logged and revoked blocks, and what fast commits add; where there may be such, also
 *     what the inodes on the disk name
 * @param transactions complete ones
 * @param blocks that they change
 * @param revokedBlocks that they revoked and did not log again
 * @param fastCommits complete ones
 * @param fastCommitInodes inodes that these name
 */
record Replay(BlockSource volume, Superblock superblock, ExtentSet freeBefore, LoggedVersions versions, ExtentSet named,
        int transactions, int blocks, int revokedBlocks, int fastCommits, int fastCommitInodes) {

    /** What must not differ, for then the disk before and the disk after are not the same blocks. */
    private static final int LAYOUT_INCOMPAT = (int) (Features.META_BG | Features.SIXTY_FOUR_BIT | Features.FLEX_BG
            | Features.CSUM_SEED | Features.MMP);
    private static final int LAYOUT_RO_COMPAT = (int) (Features.SPARSE_SUPER | Features.GDT_CSUM | Features.BIGALLOC
            | Features.METADATA_CSUM);
    private static final int LAYOUT_COMPAT = (int) (Features.HAS_JOURNAL | Features.SPARSE_SUPER2);

    /**
     * @param superblock as it is on the disk, of a file system that asks for recovery and is otherwise sound
     * @param journal its journal
     * @throws DiskFormatException if it cannot be told exactly what a guest would do
     */
    static Replay of(BlockSource volume, Superblock superblock, Journal journal) throws IOException {
        journal.superblock().requireReplayable();
        if (superblock.features().has(Features.MMP)) {
            throw new UnsupportedException("the file system may be mounted by several machines (mmp), and its journal has changes "
                    + "that are still to be replayed: start the guest and shut it down cleanly");
        }
        JournalLog log = JournalLog.read(volume, superblock, journal);
        FastCommits fastCommits = FastCommits.read(journal.superblock(), new JournalBlocks(volume, journal), superblock,
                log.nextTransaction());
        JournalEntries replayed = log.replayed();
        requireOutsideOfJournal(replayed, journal, superblock);

        ReplayedVolume after = new ReplayedVolume(volume, journal.blocks(), superblock.blockSize(), replayed);
        Superblock superblockAfter = Superblock.read(after);
        MountState.requireReplayable(superblockAfter);
        requireSameLayout(superblock, superblockAfter);
        PossibleBlocks.addNamed(fastCommits, after, superblockAfter, log.named());

        ExtentSet freeBefore = FreeSpaceReader.ofCrash(volume, superblock).freeUnchecked();
        if (journal.superblock().has(JournalSuperblock.FAST_COMMIT)) {
            PossibleBlocks.addOnDisk(volume, superblock, freeBefore, log.named());
        }
        LoggedVersions versions = new LoggedVersions(volume, journal.blocks(), superblock.blockSize(), log.versions());
        return new Replay(after, superblockAfter, freeBefore, versions, OwnBlocks.clustersAround(superblock, log.named().build()),
                log.transactions(), replayed.count(), log.revokedBlocks(), fastCommits.count(), fastCommits.inodes().size());
    }

    /** @return what of these bytes, free after the replay, was free before it and has no part in it */
    ExtentSet alsoFreeBefore(ExtentSet freeAfter) {
        return freeAfter.intersect(freeBefore).minus(named);
    }

    private static void requireOutsideOfJournal(JournalEntries replayed, Journal journal, Superblock superblock)
            throws IOException {
        Ranges own = new Ranges("journal blocks");
        journal.blocks().addTo(own);
        ExtentSet blocks = own.build();
        for (int i = 0; i < replayed.count(); i++) {
            long offset = replayed.block(i) * superblock.blockSize();
            if (blocks.contains(offset, 1)) {
                throw new CorruptException("ext journal: block to replay (run e2fsck -f in the guest)", offset,
                        "one outside of the journal", "one of the journal's own");
            }
        }
    }

    private static void requireSameLayout(Superblock before, Superblock after) throws UnsafeException {
        Features a = before.features();
        Features b = after.features();
        boolean same = before.blockSize() == after.blockSize() && before.blocksPerCluster() == after.blocksPerCluster()
                && before.blockCount() == after.blockCount() && before.clustersPerGroup() == after.clustersPerGroup()
                && before.inodesPerGroup() == after.inodesPerGroup() && before.inodeSize() == after.inodeSize()
                && before.descriptorSize() == after.descriptorSize() && before.firstMetaGroup() == after.firstMetaGroup()
                && before.reservedDescriptorBlocks() == after.reservedDescriptorBlocks()
                && before.backupGroups().equals(after.backupGroups()) && before.uuid().equals(after.uuid())
                && before.checksumSeed() == after.checksumSeed() && before.journalInode() == after.journalInode()
                && ((a.incompat() ^ b.incompat()) & LAYOUT_INCOMPAT) == 0
                && ((a.roCompat() ^ b.roCompat()) & LAYOUT_RO_COMPAT) == 0
                && ((a.compat() ^ b.compat()) & LAYOUT_COMPAT) == 0;
        if (!same) {
            throw new UnsafeException("the file system's journal holds a change of its size or layout that is still to be "
                    + "replayed: start the guest and shut it down cleanly");
        }
    }

    /** @return what was done, for the report */
    String evidence() {
        return "journal replayed in memory: " + counted(transactions, "transaction") + ", " + counted(blocks, "block")
                + (revokedBlocks == 0 ? "" : ", " + counted(revokedBlocks, "revoked block"))
                + (fastCommits == 0 ? "" : ", " + counted(fastCommits, "fast commit") + " on "
                + counted(fastCommitInodes, "inode"));
    }

    private static String counted(int count, String what) {
        return count + " " + what + (count == 1 ? "" : "s");
    }
}
