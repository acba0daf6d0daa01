package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.CrashedGuest;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a crash left of a file system, and the proof of what may be freed in it: by e2fsck and by the kernel, on copies.
 *
 * @param file the crash image
 */
record CrashedVolume(Path file) {

    static final VolumeOptions REPLAY = new VolumeOptions(true, false);

    /**
     * Wipes the commit block of the last complete transaction, as if the power had been cut before it was written: unless
     * this could not be, since a part of that transaction is already in its place.
     *
     * @return whether this was done
     */
    boolean tearLastCommit() throws IOException {
        LoggedByDebugfs log = LoggedByDebugfs.read(file);
        if (log.commits().isEmpty()) {
            return false;
        }
        byte[] volume = Files.readAllBytes(file);
        ByteArraySource source = new ByteArraySource(volume);
        Superblock superblock = Superblock.read(source);
        FileBlocks journal = Journal.read(source, superblock).blocks();
        if (log.mayBeCheckpointed(volume, superblock.blockSize(), journal)) {
            return false;
        }
        int at = (int) journal.blockOf(log.lastCommit()[1]) * superblock.blockSize();
        Path torn = copy(".torn");
        Arrays.fill(volume, at, at + superblock.blockSize(), (byte) 0);
        Files.write(torn, volume);
        if (claimsBlocksTwice(torn)) {
            Files.delete(torn);
            return false;
        }
        Files.move(torn, file, StandardCopyOption.REPLACE_EXISTING);
        return true;
    }

    /**
     * What was written in place may look the same as before. But then the file system contradicts itself once its journal is
     * replayed, to e2fsck and before anything is freed, and that no cut of the power does.
     */
    private boolean claimsBlocksTwice(Path torn) throws IOException {
        Path replayed = Files.copy(torn, file.resolveSibling("replayed.img"), StandardCopyOption.REPLACE_EXISTING);
        try {
            return Tools.run("e2fsck", "-fy", replayed.toString()).output().contains("Multiply-claimed");
        } finally {
            Files.delete(replayed);
        }
    }

    /** @return what is free before and after a replay */
    FreeSpace freeSpace() throws IOException {
        try (FileSource source = new FileSource(file)) {
            return new ExtProbe().open(source, REPLAY).freeSpace();
        }
    }

    /**
     * @return whether e2fsprogs say the same: after debugfs has replayed it these blocks are the inode's, and one of them is free;
     *     or, where debugfs drops the journal, e2fsck finds errors after the kernel's replay
     */
    boolean contradictsItself(String refusal) throws IOException {
        Matcher claim = Pattern.compile("blocks? (\\d+)(?: to (\\d+))? of inode (\\d+),.* expected used, found free")
                .matcher(refusal);
        if (!claim.find()) {
            return false;
        }
        long first = Long.parseLong(claim.group(1));
        long count = claim.group(2) == null ? 1 : Long.parseLong(claim.group(2)) - first + 1;
        Path copy = copy(".d");
        Path other = copy(".e");
        try {
            Tools.ok("debugfs", "-n", "-w", "-R", "journal_run", copy.toString());
            String blocks = Tools.ok("debugfs", "-R", "blocks <" + claim.group(3) + ">", copy.toString());
            String bits = Tools.ok("debugfs", "-R", "testb " + first + " " + count, copy.toString());
            if (Pattern.compile("\\b" + first + "\\b").matcher(blocks).find() && bits.contains("not in use")) {
                return true;
            }
            Files.copy(file, copy, StandardCopyOption.REPLACE_EXISTING);
            return CrashedGuest.requireSameTrees(copy, other, "", "two copies")
                    && Tools.run("e2fsck", "-fn", copy.toString()).status() != 0;
        } finally {
            Files.delete(copy);
            Files.delete(other);
        }
    }

    boolean isNotMountable() throws IOException {
        Path copy = copy(".m");
        Path other = copy(".n");
        try {
            return !CrashedGuest.requireSameTrees(copy, other, "", "two copies");
        } finally {
            Files.delete(copy);
            Files.delete(other);
        }
    }

    Path copy(String suffix) throws IOException {
        return Files.copy(file, file.resolveSibling(file.getFileName() + suffix), StandardCopyOption.REPLACE_EXISTING);
    }

    /** @return a copy in which these bytes are gone: zeros, as a hole reads, or worse */
    Path reclaimed(String suffix, ExtentSet free, boolean zeros) throws IOException {
        Path copy = copy(suffix);
        byte[] junk = new byte[1 << 16];
        if (!zeros) {
            Arrays.fill(junk, (byte) 0xA5);
        }
        try (FileChannel channel = FileChannel.open(copy, StandardOpenOption.WRITE)) {
            for (Extent extent : free) {
                for (long at = extent.offset(); at < extent.end();) {
                    int length = (int) Math.min(junk.length, extent.end() - at);
                    channel.write(ByteBuffer.wrap(junk, 0, length), at);
                    at += length;
                }
            }
        }
        return copy;
    }

    /**
     * Proves that without these bytes the file system is the same: replayed by the kernel, and replayed and repaired by e2fsck
     * (what it says, what it makes used, every byte of that, and the tree). And that the disk itself calls them free.
     *
     * @param fastCommits whether there may be some: the kernel writes the time of the day where it replays them, e2fsck 1.47
     *     makes a mess of them, and both do not get on with some; but they have to do the same with and without the bytes
     * @return whether the kernel mounts it
     */
    boolean requireSameWithout(ExtentSet free, boolean zeros, boolean fastCommits, String name) throws IOException {
        requireFreeOnDisk(free, name);
        Path a = copy(".a");
        Path b = reclaimed(".b", free, zeros);
        String since = String.format(Locale.ROOT, "%.3f", Files.getLastModifiedTime(file).toMillis() / 1000.0);
        try {
            boolean mounted = CrashedGuest.requireSameTrees(a, b, "", since, name + ", replayed by the kernel");
            assertTrue(mounted || fastCommits, name + ": cannot be mounted");
            if (fastCommits) {
                requireSameRepair(a, b, false, since, name + ", replayed by the kernel and repaired");
            }
            Files.copy(file, a, StandardCopyOption.REPLACE_EXISTING);
            reclaimed(".b", free, zeros);
            requireSameRepair(a, b, !fastCommits, since, name + ", repaired");
            return mounted;
        } finally {
            Files.delete(a);
            Files.delete(b);
        }
    }

    /** @param complete whether the repair has to make the file system sound */
    private static void requireSameRepair(Path a, Path b, boolean complete, String since, String name) throws IOException {
        CrashedGuest.Repair repair = CrashedGuest.repair(a);
        assertEquals(repair, CrashedGuest.repair(b), name);
        assertTrue(repair.isComplete() || !complete, () -> name + ": " + repair);
        if (complete) {
            ExtentSet unused = DumpE2fs.free(a);
            assertEquals(unused, DumpE2fs.free(b), name + ": free after e2fsck");
            requireSameOutside(unused, a, b, name);
        }
        boolean mounted = CrashedGuest.requireSameTrees(a, b, "ro", since, name);
        assertTrue(mounted || !complete, name + ": cannot be mounted");
    }

    /** Reads the bitmaps as they lie on the disk, one bit at a time. */
    private void requireFreeOnDisk(ExtentSet free, String name) throws IOException {
        ExtImage image = new ExtImage(Files.readAllBytes(file));
        if ((image.s32(ExtImage.SUPERBLOCK + 0x60) & 0x10) != 0) {
            // META_BG: ExtImage does not know where the descriptors are, and dumpe2fs does not read every bitmap that a cut leaves.
            Tools.Result dump = Tools.run("dumpe2fs", file.toString());
            if (dump.status() == 0) {
                assertEquals(ExtentSet.EMPTY, free.minus(DumpE2fs.parse(dump.output())), name + ": in use on the disk");
            }
            return;
        }
        for (Extent extent : free) {
            for (long block = extent.offset() / image.blockSize(); block < extent.end() / image.blockSize(); block++) {
                int group = (int) ((block - image.firstDataBlock()) / image.blocksPerGroup());
                boolean used = !image.isUninitialised(group) && image.isUsed(block);
                assertTrue(!used, name + ": block " + block + " is in use on the disk");
            }
        }
    }

    /**
     * Proves the view after the replay, byte by byte, against that of debugfs, which knows nothing of fast commits. (e2fsck told
     * to replay only cuts off orphans as well.)
     */
    void requireReplayedLikeDebugfs(String name) throws IOException {
        Path copy = copy(".j");
        try (FileSource source = new FileSource(file)) {
            Superblock superblock = Superblock.read(source);
            Journal journal = Journal.read(source, superblock);
            BlockSource after = Replay.of(source, superblock, journal).volume();
            String said = Tools.ok("debugfs", "-n", "-w", "-R", "journal_run", copy.toString());
            byte[] expected = Files.readAllBytes(copy);
            assertEquals(0, expected[Superblock.OFFSET + 0x60] & 0x04, () -> name + ": not replayed, " + said);
            ByteBuffer found = ByteBuffer.allocate(expected.length);
            // In pieces that begin and end anywhere, but for a last one.
            for (int at = 0, piece = 1; at < expected.length; at += piece, piece = Math.min(piece * 3 + 7, 1_000_003)) {
                after.read(at, found.limit(Math.min(expected.length, at + piece)));
            }
            Ranges own = new Ranges("differ");
            own.add(Superblock.OFFSET, Superblock.SIZE);
            own.add(journal.blocks().blockOf(0) * superblock.blockSize(), superblock.blockSize());
            // The copies are written anew.
            GroupLayout layout = new GroupLayout(superblock);
            for (int group = 1; group < superblock.groupCount(); group++) {
                if (layout.baseBlocks(group) > 0) {
                    own.add(layout.baseStart(group) * superblock.blockSize(), layout.baseBlocks(group) * superblock.blockSize());
                }
            }
            requireSameOutside(own.build(), expected, found.array(), name + ", replayed");
        } finally {
            Files.delete(copy);
        }
    }

    /** Two file systems may differ only where both call it free. */
    private static void requireSameOutside(ExtentSet free, Path one, Path other, String name) throws IOException {
        requireSameOutside(free, Files.readAllBytes(one), Files.readAllBytes(other), name);
    }

    private static void requireSameOutside(ExtentSet free, byte[] a, byte[] b, String name) {
        for (int from = 0; from < a.length;) {
            int at = Arrays.mismatch(a, from, a.length, b, from, b.length);
            if (at < 0) {
                return;
            }
            int different = from + at;
            assertTrue(free.contains(different, 1), () -> name + ": byte " + different + " is in use and differs");
            from = (int) free.end(free.indexOfFirstEndingAfter(different));
        }
    }
}
