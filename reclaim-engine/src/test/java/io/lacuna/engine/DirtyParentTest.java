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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A parent that was snapshotted while its guest ran: the guest has written a file past its page cache, so that the data was on
 * the disk, and the transaction that gives the blocks to the file came into the overlay.
 */
@Timeout(120)
class DirtyParentTest {

    private static final long MIB = 1 << 20;
    private static final int BLOCK = 4096;
    private static final VolumeOptions BOOTS = new VolumeOptions(true, false);

    /** Parent and child as they were made; never opened by a test. */
    @TempDir
    static Path made;

    /** Blocks of the file that was written directly. */
    private static ExtentSet direct;
    private static String tree;

    @TempDir
    Path directory;

    private Path parent;
    private Path child;

    @BeforeAll
    static void runAGuest() throws IOException {
        Tools.requireLoopDevices();
        Tools.require("qemu-img", "qemu-io", "debugfs", "e2fsck", "sgdisk");
        Path live = GuestVolume.ext(made, "live.raw", 40 * MIB, "-t ext4 -b 4096").file();
        Tools.shell("""
                cd "$1"; mkdir mnt; mount -o loop,commit=900 live.raw mnt; trap 'cd /; umount "$1/mnt" 2> /dev/null || true' EXIT
                head -c 700000 /dev/urandom > mnt/first; sync -f mnt
                rm mnt/keep/f3 mnt/keep/f6; echo early > mnt/early; sync -f mnt
                dd if=/dev/urandom of=mnt/direct bs=64K count=24 oflag=direct status=none
                cp --sparse=always live.raw parent.raw
                (cat mnt/direct; head -c 900000 /dev/urandom) > mnt/later; rm mnt/first; sync -f mnt
                umount mnt; trap - EXIT
                # On a machine busy with loop devices a rebase was seen to make a child that differs from what it was made of.
                for attempt in 1 2 3 4 5; do
                    rm -f child.qcow2; sync live.raw parent.raw
                    qemu-img create -q -f qcow2 -b live.raw -F raw child.qcow2
                    qemu-img rebase -f qcow2 -b parent.raw -F raw child.qcow2
                    ! qemu-img compare -f raw -F qcow2 live.raw child.qcow2 || exit 0
                done
                exit 1
                """, made);
        direct = blocksOf("direct", live);
        tree = manifest(live);
    }

    private static ExtentSet blocksOf(String name, Path volume) {
        ExtentSet.Builder blocks = ExtentSet.builder();
        for (String block : Tools.ok("debugfs", "-R", "blocks /" + name, volume.toString()).lines()
                .filter(line -> line.matches("[0-9 ]+")).findFirst().orElseThrow().trim().split(" ")) {
            blocks.add(Long.parseLong(block) * BLOCK, BLOCK);
        }
        return blocks.build();
    }

    private static String manifest(Path volume) {
        Tools.ok("e2fsck", "-fn", volume.toString());
        return new GuestVolume(volume, false).manifest();
    }

    @BeforeEach
    void copy() throws IOException {
        Tools.shell("cp --sparse=always \"$1\"/parent.raw \"$1\"/child.qcow2 \"$2\"", made, directory);
        parent = directory.resolve("parent.raw");
        child = directory.resolve("child.qcow2");
    }

    /** The parent's own view, as e2fsck leaves it after a replay. */
    private ExtentSet freeAfterReplay() throws IOException {
        Path replayed = directory.resolve("replayed.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; e2fsck -fy \"$2\" > /dev/null 2>&1 || [ $? = 1 ]",
                made.resolve("parent.raw"),
                replayed);
        ExtentSet free = new GuestVolume(replayed, false).free();
        Files.delete(replayed);
        return free;
    }

    /** @return those ranges that read as zeros */
    private static ExtentSet zeros(Path raw, ExtentSet where) throws IOException {
        ExtentSet.Builder zeros = ExtentSet.builder();
        byte[] block = new byte[BLOCK];
        try (RandomAccessFile file = new RandomAccessFile(raw.toFile(), "r")) {
            for (Extent extent : where) {
                for (long at = extent.offset(); at + BLOCK <= extent.end(); at += BLOCK) {
                    file.seek(at);
                    file.readFully(block);
                    if (Arrays.equals(block, new byte[BLOCK])) {
                        zeros.add(at, BLOCK);
                    }
                }
            }
        }
        return zeros.build();
    }

    private ImageReport reclaim(ReclaimMode mode, Path... children) {
        return run(parent, options(Purpose.RECLAIM).mode(mode).volumeOptions(BOOTS).children(List.of(children)).build());
    }

    private String refused(ReclaimMode mode, Path... children) {
        byte[] before = read(parent);
        ImageReport report = reclaim(mode, children);
        assertEquals(Verdict.REFUSED, report.verdict(), report.toString());
        assertEquals(-1, Arrays.mismatch(before, read(parent)));
        return report.reason();
    }

    private static byte[] read(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** An unnamed child that runs shows in nothing else: its program need not know QEMU's locks. */
    @Test
    void whoeverHasTheParentOpenMayBeAChild() throws Exception {
        Process holder = new ProcessBuilder("sleep", "100").redirectInput(parent.toFile()).start();
        try {
            String reason = refused(ReclaimMode.PUNCH, child);
            assertTrue(reason.contains("has this image open"), reason);
        } finally {
            holder.destroyForcibly().waitFor();
        }
    }

    private String treeOfChild() throws IOException {
        Path raw = directory.resolve("seen.raw");
        Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", child.toString(), raw.toString());
        String seen = manifest(raw);
        Files.delete(raw);
        return seen;
    }

    /** The danger itself, told by other tools alone: the parent calls free what its child's file holds, after a replay, too. */
    @Test
    void aDirectWriteIsFreeInTheParentAndLiveInTheChild() throws IOException {
        assertFalse(direct.isEmpty());
        ExtentSet doomed = freeAfterReplay().intersect(direct);
        assertFalse(doomed.isEmpty(), "the parent's file system does not know of the file");
        // And the overlay has no copy of its own: zeros in the parent are zeros in the file.
        try (RandomAccessFile file = new RandomAccessFile(parent.toFile(), "rw")) {
            for (Extent extent : doomed) {
                file.seek(extent.offset());
                file.write(new byte[(int) extent.length()]);
            }
        }
        assertFalse(treeOfChild().equals(tree), "the child has lost its file");
    }

    @Test
    void onlyWhatEveryNamedChildLeavesFreeTooIsFreed() throws IOException {
        ExtentSet own = freeAfterReplay();
        ExtentSet inChild = new GuestVolume(made.resolve("live.raw"), false).free();
        for (ReclaimMode mode : List.of(ReclaimMode.PUNCH, ReclaimMode.DEALLOCATE)) {
            copy();
            ImageReport done = reclaim(mode, mode == ReclaimMode.PUNCH ? child : directory);
            assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
            assertTrue(done.volumes().get(0).evidence().toString().contains("child.qcow2"), done.toString());
            assertEquals(own.intersect(inChild).totalBytes(), done.volumes().get(0).freeBytes(), 1 << 20);
            assertEquals(tree, treeOfChild());
            assertEquals(ExtentSet.EMPTY, zeros(parent, direct));
            assertTrue(zeros(parent, own.intersect(inChild)).totalBytes() > 10 * MIB);
        }
    }

    /** Why children must be named: where none is known, the caller's word that the guest boots decides alone. */
    @Test
    void withoutItsChildAReplayTakesTheFile() throws IOException {
        Files.delete(child);
        assertEquals(Verdict.RECLAIMED, reclaim(ReclaimMode.PUNCH).verdict());
        assertFalse(zeros(parent, direct).isEmpty());
    }

    @Test
    void refusedUnlessTheChildIsNamed() throws IOException {
        String why = refused(ReclaimMode.DEALLOCATE);
        assertTrue(why.contains("--children") && why.contains("not all of them are known"), why);
        // Without the caller's word on the journal the file system itself refuses; what it advises must not be "start the guest".
        ImageReport plain = run(parent, options(Purpose.RECLAIM).build());
        assertEquals(Verdict.REFUSED, plain.verdict());
        assertTrue(plain.reason().contains("--replay-journal") && !plain.reason().contains("start the guest"), plain.reason());
        String unsaid = run(parent, options(Purpose.RECLAIM).children(List.of(child)).build()).reason();
        assertTrue(unsaid.contains("replay of the journal was not allowed"), unsaid);
    }

    @Test
    void refusedIfASecondChildIsFoundThatWasNotNamed() throws IOException {
        Path second = directory.resolve("second.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", child.toString(), "-F", "qcow2", second.toString());
        String why = refused(ReclaimMode.PUNCH, child);
        assertTrue(why.contains("second.qcow2") && why.contains("was not named"), why);
        assertEquals(Verdict.RECLAIMED, reclaim(ReclaimMode.PUNCH, child, second).verdict());
        assertEquals(tree, treeOfChild());
    }

    @Test
    void refusedIfWhatIsNamedIsNoChild() throws IOException {
        Path stranger = directory.resolve("stranger.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", stranger.toString(), "40M");
        String why = refused(ReclaimMode.PUNCH, child, stranger);
        assertTrue(why.contains("stranger.qcow2"), why);
        why = refused(ReclaimMode.PUNCH, child, directory.resolve("absent.qcow2"));
        assertTrue(why.contains("absent.qcow2"), why);
    }

    @Test
    void refusedWhileAChildRuns() throws IOException {
        try (StorageDaemon guest = StorageDaemon.start(parent, "raw", child, directory)) {
            String why = refused(ReclaimMode.PUNCH, child);
            assertTrue(why.contains("qemu-storage"), why);
            assertTrue(guest.process() > 0);
        }
    }

    /** Not a QEMU, and without a descriptor of the parent: told when the child is opened. */
    @Test
    void refusedWhileSomebodyElseHasAChild() {
        String loop = Tools.ok("losetup", "-f", "--show", child.toString()).strip();
        try {
            String why = refused(ReclaimMode.PUNCH, child);
            assertTrue(why.contains("child.qcow2: the image is in use: the loop device"), why);
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
    }

    /** A sound file system in another place: what it leaves free says nothing of the parent's. */
    @Test
    void refusedIfTheChildsPartitionsAreOthers() {
        Tools.shell("""
                cd "$1"; truncate -s 44M disk.raw; sgdisk -n 1:2048:+40M -t 1:8300 disk.raw > /dev/null
                dd if=parent.raw of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
                cp --sparse=always disk.raw other.raw; sgdisk -o -n 1:4096:+38M -t 1:8300 other.raw > /dev/null
                mke2fs -q -F -t ext4 -E offset=$((4096 * 512)) other.raw 38M
                rm child.qcow2 parent.raw; qemu-img convert -f raw -O qcow2 -B disk.raw -F raw other.raw child.qcow2; rm other.raw
                """, directory);
        parent = directory.resolve("disk.raw");
        String why = refused(ReclaimMode.PUNCH, child);
        assertTrue(why.contains("child.qcow2") && why.contains("its partitions are others"), why);
    }

    @Test
    void refusedIfAChildsVolumeIs() throws IOException {
        // The state field of the superblock: errors detected.
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 2 1082 1", child.toString());
        String why = refused(ReclaimMode.PUNCH, child);
        assertTrue(why.contains("child.qcow2") && why.contains("cannot be told"), why);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 0 0 1M", child.toString());
        why = refused(ReclaimMode.PUNCH, child);
        assertTrue(why.contains("child.qcow2") && why.contains("cannot be told"), why);
    }

    @Test
    void refusedIfTheChildsMachineIsSuspended() throws IOException {
        Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
        Path moved = Files.move(child, elsewhere.resolve("child.qcow2"));
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", parent.toString(), "-F", "raw", moved.toString());
        Files.write(elsewhere.resolve("machine.vmss"), new byte[10]);
        String why = refused(ReclaimMode.PUNCH, moved);
        assertTrue(why.contains("machine.vmss"), why);
    }

    /** Whatever keeps it from being read: its name for the parent stands in the header all the same. */
    @ParameterizedTest
    @CsvSource({"dirty, 79, 1", "corrupt, 79, 2", "unknown feature, 72, 128", "encrypted, 35, 2", "table behind the end, 40, 127"})
    void refusedIfItMayHaveAChildThatCannotBeRead(String what, int at, int value) throws IOException {
        change(child, at, value);
        for (Path[] named : new Path[][] {{}, {child}, {directory}}) {
            String why = refused(ReclaimMode.PUNCH, named);
            assertTrue(why.contains("child.qcow2") && why.contains("cannot be told"), what + ": " + why);
        }
        Path clean = Files.createDirectory(directory.resolve("clean")).resolve("image.raw");
        Files.copy(GuestVolume.ext(directory, "clean.raw", 16 * MIB, "-t ext4").file(), clean);
        Files.copy(child, clean.resolveSibling("child.qcow2"));
        assertEquals(Verdict.RECLAIMED, run(clean, options(Purpose.RECLAIM).build()).verdict(), "a clean volume counts");
    }

    private static void change(Path file, int at, int value) throws IOException {
        try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
            bytes.seek(at);
            bytes.write(value);
        }
    }

    @Test
    void refusedIfImagesBesideItStandOnEachOther() throws IOException {
        Path other = directory.resolve("other.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", child.toString(), "-F", "qcow2", other.toString());
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", other.toString(), "-F", "qcow2", child.toString());
        String why = refused(ReclaimMode.PUNCH);
        assertTrue(why.contains("or on itself"), why);
    }

    @Test
    void aChildIsFoundByWhateverNameItKnowsTheParent() throws IOException {
        Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
        Path name = Files.createLink(elsewhere.resolve("other-name.raw"), parent);
        child = Files.move(child, elsewhere.resolve("child.qcow2"));
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", name.toString(), "-F", "raw", child.toString());
        ImageReport done = reclaim(ReclaimMode.PUNCH, elsewhere);
        assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
        assertEquals(1, done.children().size(), done.toString());
        assertEquals(ExtentSet.EMPTY, zeros(parent, direct));
    }

    @Test
    void aNamedDirectoryIsSearchedToItsEnd() throws IOException {
        Path top = directory.resolve("top");
        Path deep = top;
        for (int i = 0; i < 20; i++) {
            deep = deep.resolve("d");
        }
        child = Files.move(child, Files.createDirectories(deep).resolve("child.qcow2"));
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", parent.toString(), "-F", "raw", child.toString());
        Path link = Files.createSymbolicLink(directory.resolve("link"), top);
        assertEquals(1, reclaim(ReclaimMode.PUNCH, link).children().size());
        assertEquals(ExtentSet.EMPTY, zeros(parent, direct));
        copy();
        Files.delete(child);
        Path folder = Files.createDirectory(directory.resolve("folder"));
        Files.createSymbolicLink(folder.resolve("link"), top);
        String why = refused(ReclaimMode.PUNCH, folder);
        assertTrue(why.contains("link leads to another directory"), why);
    }

    /** A flat extent named by itself is still what the children of its disk stand on. */
    @Test
    void aPartOfAParentIsAParent() throws IOException {
        Path disk = Files.writeString(directory.resolve("disk.vmdk"), "# Disk DescriptorFile\nversion=1\nCID=12345678\n"
                + "parentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW " + Files.size(parent) / 512 + " FLAT \"parent.raw\" 0\n"
                + "ddb.adapterType = \"ide\"\n");
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", disk.toString(), "-F", "vmdk", child.toString());
        assertEquals(tree, treeOfChild());
        String why = refused(ReclaimMode.PUNCH);
        assertTrue(why.contains("not all of them are known"), why);
        refused(ReclaimMode.PUNCH, child);
        Files.delete(child);
        assertEquals(Verdict.RECLAIMED, reclaim(ReclaimMode.PUNCH).verdict(), "the disk itself is no child of its part");
    }

    /** What keeps nobody from knowing: other images, damaged or half there, that name neither this one nor any parent. */
    @Test
    void strangersBesideItAreNoDoubt() throws IOException {
        Files.delete(child);
        Tools.shell("""
                cd "$1"; qemu-img create -q -f qcow2 damaged.qcow2 8M
                printf '\\377' | dd of=damaged.qcow2 bs=1 seek=40 conv=notrunc status=none
                (printf '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="vmfs"\n'
                    printf 'RW 2048 VMFS "gone-flat.vmdk"\n') > gone.vmdk
                head -c 3000 /dev/urandom > some.log; mkfifo pipe; ln -s nowhere broken""", directory);
        ImageReport done = reclaim(ReclaimMode.PUNCH, directory);
        assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
        assertEquals(List.of(), done.remarks().stream().filter(remark -> remark.contains("cannot be told")).toList());
    }

    /** One of several images that were given with all their children: what it is not the parent of is nothing to it. */
    @Test
    void aNamedChildOfAnotherImageDoesNotMakeItAParent() throws IOException {
        Path other = Files.createDirectory(directory.resolve("elsewhere")).resolve("other.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", other.toString(), "40M");
        Files.delete(child);
        ImageReport done = reclaim(ReclaimMode.PUNCH, other, parent);
        assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
        assertEquals(1, done.remarks().stream().filter(remark -> remark.contains("was named as a child")).count());
    }

    @Test
    void refusedIfAnImageBetweenCannotBeSeen() throws IOException {
        Path middle = directory.resolve("middle.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", child.toString(), "-F", "qcow2", middle.toString());
        Path top = directory.resolve("top.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", middle.toString(), "-F", "qcow2", top.toString());
        Tools.ok("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "x".repeat(300) + "/middle.qcow2", "-F", "qcow2", top.toString());
        Files.delete(child);
        Files.delete(middle);
        String why = refused(ReclaimMode.PUNCH);
        assertTrue(why.contains("top.qcow2") && why.contains("cannot be told"), why);
    }
}
