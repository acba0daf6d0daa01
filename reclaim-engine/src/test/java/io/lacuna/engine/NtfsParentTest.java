package io.lacuna.engine;

import static io.lacuna.engine.ReclaimRun.options;
import static io.lacuna.engine.ReclaimRun.run;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.engine.ImageReport.Verdict;
import io.lacuna.engine.ReclaimOptions.Purpose;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A parent whose NTFS was mounted by NTFS-3G when it was snapshotted. NTFS-3G keeps no journal and sets no dirty flag, and
 * its writes reach the disk in whatever order the guest's page cache sends them: here the data of a new file came before the
 * snapshot, and the file record, the folder and $Bitmap behind it. Parent and child each look cleanly unmounted.
 */
@Timeout(120)
class NtfsParentTest {

    private static final long MIB = 1 << 20;

    /** Parent and child as they were made; never opened by a test. */
    @TempDir
    static Path made;

    private static ExtentSet freeInBoth;
    private static String tree;

    @TempDir
    Path directory;

    private Path parent;
    private Path child;

    @BeforeAll
    static void runAGuest() throws IOException {
        Tools.require("qemu-img");
        GuestVolume before = GuestVolume.ntfs(made, "before.raw", 32 * MIB, "-c 4096");
        Path live = made.resolve("live.raw");
        Tools.shell("""
                cd "$1"; cp --sparse=always before.raw live.raw; mkdir mnt; ntfs-3g live.raw mnt
                trap 'cd /; umount "$1/mnt"; while fuser -s "$1/live.raw" 2> /dev/null; do sleep 0.1; done' EXIT
                head -c 5000000 /dev/urandom > mnt/late
                """, made);
        Path snapshot = made.resolve("parent.raw");
        Files.copy(before.file(), snapshot);
        ExtentSet free = before.free();
        try (RandomAccessFile from = new RandomAccessFile(live.toFile(), "r");
                RandomAccessFile to = new RandomAccessFile(snapshot.toFile(), "rw")) {
            for (Extent extent : free) {
                byte[] data = new byte[(int) extent.length()];
                from.seek(extent.offset());
                from.readFully(data);
                to.seek(extent.offset());
                to.write(data);
            }
        }
        Tools.shell("""
                cd "$1"; qemu-img create -q -f qcow2 -b live.raw -F raw child.qcow2
                qemu-img rebase -f qcow2 -b parent.raw -F raw child.qcow2
                qemu-img compare -q -f raw -F qcow2 live.raw child.qcow2
                """, made);
        freeInBoth = free.intersect(new GuestVolume(live, true).free());
        tree = new GuestVolume(live, true).manifest();
    }

    @BeforeEach
    void copy() {
        Tools.shell("cp --sparse=always \"$1\"/parent.raw \"$1\"/child.qcow2 \"$2\"", made, directory);
        parent = directory.resolve("parent.raw");
        child = directory.resolve("child.qcow2");
    }

    private String treeOfChild() throws IOException {
        Path raw = directory.resolve("seen.raw");
        Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", child.toString(), raw.toString());
        String seen = new GuestVolume(raw, true).manifest();
        Files.delete(raw);
        return seen;
    }

    private String refused(ReclaimOptions options) throws IOException {
        byte[] before = Files.readAllBytes(parent);
        ImageReport report = run(parent, options);
        assertEquals(Verdict.REFUSED, report.verdict(), report.toString());
        assertEquals(-1, Arrays.mismatch(before, Files.readAllBytes(parent)));
        return report.reason();
    }

    @Test
    void anErasedJournalDoesNotTellThatAParentWasUnmounted() throws IOException {
        String why = refused(options(Purpose.RECLAIM).mode(ReclaimMode.PUNCH).build());
        assertTrue(why.contains("$LogFile") && why.contains("--children"), why);
        why = refused(options(Purpose.RECLAIM).children(List.of(child)).build());
        assertTrue(why.contains("was not allowed"), why);
        assertEquals(tree, treeOfChild());
    }

    @Test
    void onlyWhatEveryNamedChildLeavesFreeTooIsFreed() throws IOException {
        ImageReport done = run(parent, options(Purpose.RECLAIM).volumeOptions(new VolumeOptions(true, false))
                .children(List.of(child)).build());
        assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
        assertEquals(freeInBoth.totalBytes(), done.volumes().get(0).freeBytes());
        assertEquals(tree, treeOfChild());
    }

    /** The danger itself: without a child the next guest boots, and finds that no file has these clusters. */
    @Test
    void withoutItsChildTheDataIsNobodys() throws IOException {
        Path alone = Files.move(child, Files.createDirectory(directory.resolve("elsewhere")).resolve("child.qcow2"));
        assertEquals(Verdict.RECLAIMED, run(parent, options(Purpose.RECLAIM).build()).verdict());
        Files.move(alone, child);
        assertFalse(treeOfChild().equals(tree), "the child has lost its file");
    }

    @Test
    void aChildThatCannotBeReadIsOneAllTheSame() throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(child.toFile(), "rw")) {
            file.seek(79);
            file.write(1); // Dirty, as QEMU leaves it when its host fails.
        }
        String why = refused(options(Purpose.RECLAIM).build());
        assertTrue(why.contains("child.qcow2") && why.contains("cannot be told"), why);
    }
}
