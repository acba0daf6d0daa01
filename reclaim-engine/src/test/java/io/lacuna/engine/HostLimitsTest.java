package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every kind of image on real hosts that make it hard: a file system that cannot punch holes, and one that is all but full. */
class HostLimitsTest {

    private static final long MIB = 1 << 20;
    private static final int UNIT = 2 << 20;
    /** What a compaction may take for a time, beside one block of the format. */
    private static final long ROOM = MIB;
    private static final Pattern MOVES = Pattern.compile("(\\d+) (blocks move into gaps|clusters \\()");

    @TempDir
    static Path shared;

    private static GuestDisk disk;
    private static ExtentSet free;

    @TempDir
    Path directory;

    private Path host;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Tools.requireLoopDevices();
        disk = GuestDisk.assemble(shared.resolve("model.raw"), "gpt", 512, GuestVolume.ext(shared, "ext", 40 * MIB,
                "-t ext4 -b 4096"));
        free = disk.free();
        assertTrue(!free.inwardTo(UNIT).isEmpty());
    }

    @BeforeEach
    void makePlace() throws IOException {
        host = Files.createDirectory(directory.resolve("host"));
    }

    @AfterEach
    void unmount() {
        Tools.run("umount", host.toString());
    }

    private Path onRamfs(ImageKind kind) {
        Tools.shell("mount -t ramfs none \"$1\"", host);
        return kind.make(disk, host);
    }

    static Stream<Arguments> tables() {
        return Stream.of(ImageKind.values()).filter(kind -> !kind.isPunchOnly())
                .flatMap(kind -> Stream.of(ReclaimMode.DEALLOCATE, ReclaimMode.COMPACT).map(mode -> Arguments.of(kind, mode)));
    }

    /** The simplest file system of Linux: it punches no holes, and tells of none. */
    @ParameterizedTest
    @MethodSource("tables")
    void withoutHolesTablesStillChangeAndTheReportSaysWhatStays(ImageKind kind, ReclaimMode mode) throws IOException {
        Path image = onRamfs(kind);
        long length = ImageKind.length(image);
        ImageReport report = ReclaimRun.run(image, kind.reclaim(mode).build());
        assertNull(report.reason());
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict());
        assertTrue(report.remarks().stream().anyMatch(remark -> remark.matches("Nothing (was|is) punched: .*cannot punch.*")),
                () -> report.remarks().toString());
        Path raw = kind.byQemu(image, directory);
        // Whole blocks read as zeros; of the others the free part stays, and the report counts it.
        assertEquals(List.of(), disk.differences(raw, free, free.inwardTo(kind.blockSize())));
        VolumeReport volume = report.volumes().get(0);
        assertTrue(volume.notReclaimable().stream().anyMatch(rest -> rest.why().contains("cannot punch")),
                () -> volume.notReclaimable().toString());
        kind.check(image);
        if (kind.growthAfter(mode) == ImageKind.Growth.APPENDS && mode == ReclaimMode.COMPACT) {
            long gone = volume.reclaimableBytes();
            assertTrue(gone > UNIT && ImageKind.length(image) <= length - gone, length + " became " + ImageKind.length(image) + ", "
                    + gone + " given back");
        }
        // A block that comes back may not show what lay in its place before.
        long unit = free.inwardTo(UNIT).start(0);
        Tools.shell("cd \"$(dirname \"$1\")\"; for at in 0 1 2; do qemu-io -f $2 -c \"write -P 9 $(( $3 + at * " + UNIT
                + " + 8192 )) 4096\" \"$1\"; done > /dev/null", image, kind.driver, unit);
        ExtentSet.Builder written = ExtentSet.builder();
        for (int i = 0; i < 3; i++) {
            written.add(unit + (long) i * UNIT + 8192, 4096);
        }
        assertEquals(List.of(), disk.differences(kind.byQemu(image, directory), free,
                free.inwardTo(kind.blockSize()).minus(written.build())));
        kind.check(image);
        ImageReport second = ReclaimRun.run(image, kind.reclaim(ReclaimMode.PUNCH).build());
        assertEquals(ImageReport.Verdict.REFUSED, second.verdict());
    }

    static Stream<Arguments> holes() {
        return Stream.of(ImageKind.values()).flatMap(kind -> Stream.of(ReclaimMode.values())
                .filter(mode -> mode == ReclaimMode.PUNCH || mode == ReclaimMode.DEALLOCATE && kind.isPunchOnly())
                .map(mode -> Arguments.of(kind, mode)));
    }

    @ParameterizedTest
    @MethodSource("holes")
    void whereNothingButHolesHelpsTheImageIsRefusedUntouched(ImageKind kind, ReclaimMode mode) {
        Path image = onRamfs(kind);
        String all = "cd \"$1\"; sha256sum disk*; stat -c '%y %s' disk*";
        String before = Tools.shell(all, host);
        ImageReport report = ReclaimRun.run(image, kind.reclaim(mode).build());
        assertEquals(ImageReport.Verdict.REFUSED, report.verdict());
        assertTrue(report.reason().contains("cannot punch"), report.reason());
        assertEquals(before, Tools.shell(all, host));
    }

    static Stream<ImageKind> compactable() {
        return ImageKind.compactable();
    }

    /**
     * In memory, where each page counts and no file system keeps any for itself. All gaps are holes, so each has to be stored anew.
     */
    @ParameterizedTest
    @MethodSource("compactable")
    void compactionNeedsNoMoreRoomThanOneBlockAndAMegabyte(ImageKind kind) throws IOException {
        Tools.shell("mount -t tmpfs -o size=400M none \"$1\"", host);
        Path image = kind.make(disk, host);
        assertNull(ReclaimRun.run(image, kind.reclaim(ReclaimMode.PUNCH).build()).reason());
        long length = ImageKind.length(image);
        long room = kind.blockSize() + ROOM;
        Tools.shell("used=$(df --block-size=1 --output=used \"$1\" | tail -1); mount -o remount,size=$(( used + $2 )) \"$1\"", host,
                room);
        assertEquals(room, host.toFile().getUsableSpace(), 4096);
        ImageReport report = ReclaimRun.run(image, kind.reclaim(ReclaimMode.COMPACT).build());
        assertNull(report.reason());
        long moved = moved(report) * kind.blockSize();
        // Whoever kept the old places until the end would have had no room.
        assertTrue(moved > room, "only " + moved + " bytes moved, with room for " + room + ": " + report.remarks());
        assertTrue(ImageKind.length(image) < length);
        assertEquals(List.of(), disk.differences(kind.byQemu(image, directory), free, kind.zeroed(free)));
        kind.check(image);
    }

    private static long moved(ImageReport report) {
        long moved = 0;
        for (String remark : report.remarks()) {
            Matcher matcher = MOVES.matcher(remark);
            if (matcher.find()) {
                moved += Long.parseLong(matcher.group(1));
            }
        }
        return moved;
    }
}
