package io.lacuna.engine;

import static io.lacuna.engine.ReclaimRun.options;
import static io.lacuna.engine.ReclaimRun.run;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.engine.ImageReport.Verdict;
import io.lacuna.engine.ReclaimOptions.Purpose;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Images that others are based on, with clean file systems: children at rest and children that run. */
@Timeout(120)
class ParentsTest {

    private static final long MIB = 1 << 20;

    @TempDir
    static Path shared;

    private static GuestDisk disk;
    private static ExtentSet free;

    @TempDir
    Path directory;

    private Path parent;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512, GuestVolume.ext(shared, "ext", 24 * MIB, "-t ext4"));
        free = disk.free();
    }

    @BeforeEach
    void makeParent() {
        parent = directory.resolve("parent.qcow2");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk.file().toString(), parent.toString());
    }

    private Path overlay(Path base, String name) {
        Path child = directory.resolve(name);
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.toString(), "-F", "qcow2", child.toString());
        return child;
    }

    private static ReclaimOptions.Builder punch(Purpose purpose) {
        return options(purpose).mode(ReclaimMode.PUNCH);
    }

    /** @return the place of a free range of the parent where its child's guest can write */
    private static long freePlace(long length) {
        ExtentSet wide = free.inwardTo(65536).atLeast(length);
        return wide.start(0);
    }

    private void assertReads(Path child) throws IOException {
        Path raw = directory.resolve(child.getFileName() + ".raw");
        Tools.ok("qemu-img", "check", "-q", "-f", "qcow2", child.toString());
        Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", child.toString(), raw.toString());
        assertEquals(List.of(), disk.differences(raw, free, ExtentSet.EMPTY));
        Files.delete(raw);
    }

    @ParameterizedTest
    @ValueSource(strings = {"DEALLOCATE", "PUNCH", "COMPACT"})
    void aCleanParentOfChildrenAtRestIsReclaimed(ReclaimMode mode) throws IOException {
        Path child = overlay(parent, "child.qcow2");
        long place = freePlace(MIB);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 9 " + place + " 512k", child.toString());
        ImageReport dry = run(parent, options(Purpose.DRY_RUN).mode(mode).build());
        ImageReport done = run(parent, options(Purpose.RECLAIM).mode(mode).build());
        assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
        assertEquals(dry.plannedBytes(), done.plannedBytes());
        assertEquals(List.of(new ChildImage(child.toRealPath(), parent.toRealPath(), false, "beside the image")),
                done.children());
        assertTrue(done.remarks().stream().anyMatch(remark -> remark.contains("checksums") && remark.contains("child.qcow2")),
                done.remarks().toString());
        Tools.ok("qemu-img", "check", "-q", "-f", "qcow2", parent.toString());
        assertReads(child);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "read -P 9 " + place + " 512k", child.toString());
    }

    /** A guest that runs, all the while; commit and rebase come and are turned away. */
    @Test
    void punchingBeneathARunningChild() throws Exception {
        Path child = overlay(parent, "child.qcow2");
        Path other = overlay(parent, "other.qcow2");
        byte[] header = Files.readAllBytes(parent);
        long place = freePlace(2 * MIB);
        long live = disk.offsets().get(0);
        try (StorageDaemon guest = StorageDaemon.start(parent, "qcow2", child, directory)) {
            String seen = content(guest.io("read -v " + live + " 8k"));
            for (ReclaimMode mode : List.of(ReclaimMode.DEALLOCATE, ReclaimMode.COMPACT)) {
                for (Purpose purpose : List.of(Purpose.DRY_RUN, Purpose.RECLAIM)) {
                    ImageReport refused = run(parent, options(purpose).mode(mode).build());
                    assertEquals(Verdict.REFUSED, refused.verdict());
                    assertTrue(refused.reason().contains("--mode punch") && refused.reason().contains("qemu-storage"),
                            refused.reason());
                }
            }
            ImageReport dry = run(parent, punch(Purpose.DRY_RUN).build());
            assertEquals(Verdict.RECLAIMED, dry.verdict(), dry.reason());
            assertEquals(Set.of("child.qcow2 true", "other.qcow2 false"), Set.copyOf(dry.children().stream()
                    .map(found -> found.path().getFileName() + " " + found.running()).toList()));

            AtomicBoolean stop = new AtomicBoolean();
            AtomicInteger rounds = new AtomicInteger();
            AtomicReference<Throwable> wrong = new AtomicReference<>();
            Thread use = new Thread(() -> {
                while (!stop.get() && wrong.get() == null) {
                    int n = rounds.get();
                    try {
                        guest.io("write -P " + (n % 250 + 1) + " " + (place + n % 16 * 65536) + " 64k",
                                "read -P " + (n % 250 + 1) + " " + (place + n % 16 * 65536) + " 64k");
                        assertEquals(seen, content(guest.io("read -v " + live + " 8k")));
                    } catch (Throwable e) {
                        wrong.set(e);
                    }
                    rounds.incrementAndGet();
                }
            });
            use.start();
            try (ReclaimSession session = Reclaimer.open(parent, punch(Purpose.RECLAIM).build())) {
                assertTrue(guest.commit().contains("lock"), "a commit is refused");
                assertRefused("qemu-img", "commit", other.toString());
                assertRefused("qemu-img", "rebase", "-f", "qcow2", "-b", "", child.toString());
                assertRefused("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "", parent.toString());
                assertRefused("qemu-img", "resize", parent.toString(), "+1M");
                ReclaimPlan plan = session.plan();
                int before = rounds.get();
                AtomicInteger calls = new AtomicInteger();
                ImageReport done = session.apply(plan, (now, all) -> {
                    calls.incrementAndGet();
                    int start = rounds.get();
                    for (int i = 0; i < 100 && calls.get() < 3 && rounds.get() < start + 2 && wrong.get() == null; i++) {
                        StorageDaemon.pause();
                    }
                });
                assertEquals(Verdict.RECLAIMED, done.verdict(), done.reason());
                assertEquals(dry.plannedBytes(), done.plannedBytes());
                assertTrue(rounds.get() > before + 2, "the guest went on meanwhile");
                assertTrue(guest.commit().contains("lock"), "a commit is refused to the end");
                // Another machine may start on the same parent.
                Tools.ok("qemu-io", "-f", "qcow2", "-c", "read -P 0 0 0", other.toString());
            }
            stop.set(true);
            use.join();
            assertNull(wrong.get(), () -> String.valueOf(wrong.get()));
            assertTrue(rounds.get() > 4, "rounds: " + rounds);
            byte[] after = Files.readAllBytes(parent);
            assertEquals(header.length, after.length);
            assertEquals(-1, java.util.Arrays.mismatch(header, 0, 3 * 65536, after, 0, 3 * 65536), "no table changed");
            assertEquals(Verdict.NOTHING_TO_RECLAIM, run(parent, punch(Purpose.RECLAIM).build()).verdict());

            String commit = guest.commit();
            assertTrue(commit.contains("return"), commit);
            guest.finishCommit();
        }
        assertReads(parent);
        // The commit brought what the guest wrote into the parent; the child must show the same with nothing of its own.
        Tools.ok("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", child.toString(), parent.toString());
        Tools.ok("qemu-img", "rebase", "-f", "qcow2", "-b", "", child.toString());
        Tools.ok("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", child.toString(), parent.toString());
    }

    private static String content(String output) {
        return output.lines().filter(line -> line.matches(".*[0-9a-f]{8}: .*")).toList().toString();
    }

    private static void assertRefused(String... command) {
        Tools.Result result = Tools.run(command);
        assertTrue(result.status() != 0 && result.output().contains("lock"), String.join(" ", command) + ": " + result);
    }

    /** QEMU's bytes by which somebody writes, or is about to: not even a punch. */
    @Test
    void nobodyPunchesBesideAWriter() throws Exception {
        Process writer = new ProcessBuilder("qemu-io", "-f", "qcow2", parent.toString()).start();
        try {
            writer.getOutputStream().write("read 0 512\n".getBytes());
            writer.getOutputStream().flush();
            writer.getInputStream().read();
            ImageReport refused = run(parent, punch(Purpose.RECLAIM).build());
            assertEquals(Verdict.REFUSED, refused.verdict());
            assertTrue(refused.reason().contains("byte 101"), refused.reason());
        } finally {
            writer.destroyForcibly().waitFor();
        }
    }

    @Test
    void twoPunchesBeneathAChildDoNotMeet() throws Exception {
        Path child = overlay(parent, "child.qcow2");
        try (StorageDaemon guest = StorageDaemon.start(parent, "qcow2", child, directory);
                ReclaimSession first = Reclaimer.open(parent, punch(Purpose.RECLAIM).build())) {
            assertEquals(free.totalBytes(), first.plan().volumes().get(0).freeBytes());
            ImageReport second = run(parent, punch(Purpose.RECLAIM).build());
            assertEquals(Verdict.REFUSED, second.verdict());
            assertTrue(second.reason().contains("byte 102"), second.reason());
            assertTrue(guest.process() > 0);
        }
    }

    @Test
    void swapAndGapsOfAParentStay() throws IOException {
        Path swap = directory.resolve("swap");
        Tools.shell("head -c 4M /dev/urandom > \"$1\"; mkswap \"$1\" > /dev/null", swap);
        Path volume = directory.resolve("volume");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", disk.volumes().get(0).file(), volume);
        GuestDisk both = GuestDisk.assemble(directory.resolve("both.raw"), "gpt", 512, new GuestVolume(swap, false),
                new GuestVolume(volume, false));
        ReclaimOptions all = options(Purpose.DRY_RUN).includes(Set.of(ReclaimOptions.Include.values())).build();
        assertTrue(run(both.file(), all).volumes().stream().noneMatch(VolumeReport::skipped));
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", both.file().toString(), "-F", "raw",
                directory.resolve("top.qcow2").toString());
        ImageReport report = run(both.file(), all);
        for (VolumeReport each : report.volumes()) {
            assertEquals(!each.type().equals("ext4"), each.skipped(), each.toString());
        }
    }

    @Test
    void gapsOfAParentStay() throws IOException {
        Path volume = directory.resolve("volume");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", disk.volumes().get(0).file(), volume);
        Path image = directory.resolve("gap.raw");
        Tools.shell("""
                truncate -s 40M "$1"; sgdisk -n 1:2048:+24M -t 1:8300 "$1" > /dev/null
                dd if="$2" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
                head -c 4M /dev/urandom | dd of="$1" bs=1M seek=30 conv=notrunc status=none; sync "$1"
                """, image, volume);
        ReclaimOptions all = options(Purpose.DRY_RUN).includes(Set.of(ReclaimOptions.Include.values())).build();
        assertEquals(List.of(false), gapsSkipped(run(image, all)));
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", image.toString(), "-F", "raw",
                directory.resolve("top.qcow2").toString());
        assertEquals(List.of(true), gapsSkipped(run(image, all)));
    }

    private static List<Boolean> gapsSkipped(ImageReport report) {
        return report.volumes().stream().filter(volume -> volume.type().equals("gaps")).map(VolumeReport::skipped).toList();
    }
}
