package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Reads all group descriptors and block bitmaps once, front to back, and proves them against each other. Memory: the
 * extents, a piece of the descriptors and a piece of the bitmaps.
 */
final class FreeSpaceReader {

    /** Ours: bitmaps that lie side by side are read together, up to this many bytes. */
    private static final int READ_BYTES = 1 << 20;
    /** Ours: as many reads are announced ahead of the one under way. */
    private static final int READS_AHEAD = 64;

    private final BlockSource volume;
    private final Superblock superblock;
    private final Journal journal;
    private final GroupDescriptors descriptors;
    private final OwnBlocks own;
    private final UninitialisedGroups uninitialised;
    private final Ranges clear = new Ranges("free space");
    private final BitmapWords words;
    private final Crc32c.OfLength checksum;
    private final int bitmapsPerRead;
    private ByteBuffer buffer;
    private final long[] bitmap;
    /** Whether the structures are as a crash left them: some written, some only in the journal, so that they disagree. */
    private final boolean crashed;
    private final Replay replay;
    /** What an earlier version of a bitmap in the journal calls used. */
    private final Ranges usedEarlier = new Ranges("blocks that were used");
    private long versionsRead;
    private long freeClusters;

    /** @param journal null if there is none */
    FreeSpaceReader(BlockSource volume, Superblock superblock, Journal journal) {
        this(volume, superblock, journal, null, false);
    }

    private FreeSpaceReader(BlockSource volume, Superblock superblock, Journal journal, Replay replay, boolean crashed) {
        this.volume = volume;
        this.superblock = superblock;
        this.journal = journal;
        this.replay = replay;
        this.crashed = crashed;
        descriptors = new GroupDescriptors(volume, superblock);
        own = new OwnBlocks(superblock);
        uninitialised = new UninitialisedGroups(superblock);
        words = new BitmapWords(superblock.clusterSize(), superblock.length(), clear);
        checksum = superblock.features().has(Features.METADATA_CSUM) && !crashed
                ? new Crc32c.OfLength(superblock.checksumSeed(), superblock.clustersPerGroup() / 8) : null;
        bitmapsPerRead = READ_BYTES / superblock.blockSize();
        bitmap = new long[(superblock.clustersPerGroup() + 63) / 64];
    }

    /** @return a reader of the file system as it is after a replay */
    static FreeSpaceReader after(Replay replay, Journal journal) {
        return new FreeSpaceReader(replay.volume(), replay.superblock(), journal, replay, false);
    }

    /** @return a reader of what a crash left, to be asked only for {@link #freeUnchecked} */
    static FreeSpaceReader ofCrash(BlockSource volume, Superblock superblock) {
        return new FreeSpaceReader(volume, superblock, null, null, true);
    }

    /** @throws DiskFormatException if the bitmaps cannot be trusted */
    FreeSpace read() throws IOException {
        readGroups();
        own.addJournalAndMmp(journal);

        ExtentSet ownClusters = own.clusters();
        ExtentSet free = clear.build();
        requireUsed(ownClusters, free);
        free = free.union(uninitialised.free(ownClusters));
        return new FreeSpace(replay == null ? free : replay.alsoFreeBefore(free).minus(usedEarlier.build()), evidence(), remarks());
    }

    /**
     * @return what the bitmaps call free, without a comparison of bitmaps, checksums and counts, which were not written together;
     *         worth nothing by itself
     */
    ExtentSet freeUnchecked() throws IOException {
        readGroups();
        return clear.build().union(uninitialised.freeUnchecked(own.clusters()));
    }

    private void readGroups() throws IOException {
        int[] groups = null;
        for (int group = 0; group < superblock.groupCount();) {
            int count = descriptors.load(group);
            if (groups == null) {
                groups = new int[count];
            }
            int withBitmap = 0;
            for (int g = group; g < group + count; g++) {
                own.addGroup(g, descriptors);
                if (replay != null) {
                    addUsedEarlier(g);
                }
                if (descriptors.isBitmapUninitialised(g)) {
                    uninitialised.add(g, descriptors.freeClusters(g));
                    freeClusters += descriptors.freeClusters(g);
                } else {
                    groups[withBitmap++] = g;
                }
            }
            readBitmaps(groups, withBitmap);
            group += count;
        }
    }

    private void addUsedEarlier(int group) throws IOException {
        Arrays.fill(bitmap, 0);
        int versions = replay.versions().addTo(bitmap, descriptors.blockBitmap(group));
        versionsRead += versions;
        if (versionsRead > replay.versions().count()) {
            throw descriptors.corrupt(group, "block bitmap (run e2fsck -f in the guest)", 0, "one of its own",
                    "that of another group");
        }
        if (versions > 0) {
            for (int i = 0; i < bitmap.length; i++) {
                bitmap[i] = ~bitmap[i];
            }
            new BitmapWords(superblock.clusterSize(), superblock.length(), usedEarlier).addFree(bitmap,
                    superblock.clustersIn(group), superblock.groupStart(group) * superblock.blockSize());
        }
    }

    private void readBitmaps(int[] groups, int count) throws IOException {
        int announced = 0;
        int reads = 0;
        int readsAnnounced = 0;
        for (int i = 0; i < count; reads++) {
            while (announced < count && readsAnnounced < reads + READS_AHEAD) {
                int end = endOfRun(groups, announced, count);
                volume.prefetch(descriptors.blockBitmap(groups[announced]) * superblock.blockSize(),
                        (long) (end - announced) * superblock.blockSize());
                announced = end;
                readsAnnounced++;
            }
            int end = endOfRun(groups, i, count);
            if (buffer == null || buffer.capacity() < (end - i) * superblock.blockSize()) {
                buffer = ByteBuffer.allocateDirect((end - i) * superblock.blockSize()).order(ByteOrder.LITTLE_ENDIAN);
            }
            buffer.clear().limit((end - i) * superblock.blockSize());
            volume.read(descriptors.blockBitmap(groups[i]) * superblock.blockSize(), buffer);
            for (int at = 0; i < end; i++, at += superblock.blockSize()) {
                addBitmap(groups[i], at);
            }
        }
    }

    /** @return the index behind the groups from {@code first} on whose bitmaps lie side by side */
    private int endOfRun(int[] groups, int first, int count) {
        int most = Math.min(count, first + bitmapsPerRead);
        long block = descriptors.blockBitmap(groups[first]);
        int end = first + 1;
        while (end < most && descriptors.blockBitmap(groups[end]) == block + (end - first)) {
            end++;
        }
        return end;
    }

    private void addBitmap(int group, int at) throws IOException {
        if (checksum != null) {
            int computed = checksum.of(buffer.position(at));
            if (!descriptors.hasBitmapChecksum(group, computed)) {
                throw descriptors.corrupt(group, "block bitmap checksum (run e2fsck -f in the guest)", 0x18,
                        Superblock.hex(computed), Superblock.hex(descriptors.bitmapChecksum(group)));
            }
        }
        buffer.position(at).limit(at + superblock.blockSize());
        buffer.slice().order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(bitmap, 0, bitmap.length);
        buffer.limit(buffer.capacity());
        int free = words.addFree(bitmap, superblock.clustersIn(group), superblock.groupStart(group) * superblock.blockSize());
        if (free != descriptors.freeClusters(group) && !crashed) {
            throw descriptors.corrupt(group, "free count (run e2fsck -f in the guest)", 0x0C,
                    free + ", as its bitmap has", descriptors.freeClusters(group));
        }
        freeClusters += free;
    }

    private void requireUsed(ExtentSet ownClusters, ExtentSet free) throws CorruptException {
        ExtentSet lost = free.intersect(ownClusters);
        if (!lost.isEmpty()) {
            throw new CorruptException("ext block bitmap: the file system's own blocks (run e2fsck -f in the guest)",
                    lost.start(0), "used", "free, " + lost.totalBytes() + " bytes of them");
        }
    }

    private List<String> evidence() {
        Features features = superblock.features();
        List<String> evidence = new ArrayList<>();
        if (replay != null) {
            evidence.add(replay.evidence());
            evidence.add("free before and after the replay");
        } else {
            evidence.add("cleanly unmounted");
            if (journal != null) {
                evidence.add("journal empty");
            }
        }
        if (features.has(Features.METADATA_CSUM)) {
            evidence.add("superblock checksum verified");
        }
        if (features.hasDescriptorChecksums()) {
            evidence.add("descriptor checksums verified");
        }
        if (features.has(Features.METADATA_CSUM)) {
            evidence.add("bitmap checksums verified");
        }
        evidence.add("own blocks marked used");
        evidence.add("free counts agree");
        return evidence;
    }

    private List<String> remarks() {
        List<String> remarks = new ArrayList<>();
        if (replay != null) {
            remarks.add("The guest did not unmount this file system. Its journal was replayed in memory, on your word that the "
                    + "guest boots next and does not resume; what is free both before and after the replay counts as free.");
        }
        if (!superblock.features().has(Features.METADATA_CSUM)) {
            remarks.add("The bitmaps carry no checksums; they agree with the free counts of their groups.");
        }
        if (replay == null && freeClusters * superblock.blocksPerCluster() != superblock.freeBlocks()) {
            remarks.add("The superblock counts " + superblock.freeBlocks() + " free blocks, the groups "
                    + freeClusters * superblock.blocksPerCluster() + "; the kernel brings the superblock's count up to date only "
                    + "now and then.");
        }
        if (superblock.errorCount() != 0) {
            remarks.add("The guest's kernel recorded " + superblock.errorCount()
                    + " error(s) in this file system since it was last checked.");
        }
        if (superblock.features().hasUnknownCompat()) {
            remarks.add("The file system has compatible features that Lacuna does not know; they do not change which blocks are "
                    + "free.");
        }
        return remarks;
    }
}
