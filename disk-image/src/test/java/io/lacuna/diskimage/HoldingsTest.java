package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What images say they store, beside what qemu-img says of them. */
class HoldingsTest {

    private static final Pattern DATA = Pattern.compile("\"start\": (\\d+), \"length\": (\\d+)[^}]*\"data\": true");

    @TempDir
    Path directory;
    private Path raw;

    @BeforeEach
    void makeDisk() {
        Tools.require("qemu-img", "qemu-io");
        raw = directory.resolve("disk.raw");
        Tools.shell("truncate -s 41M \"$1\"; for at in 0 17 300 301 4097 9000; do "
                + "head -c 70000 /dev/urandom | dd of=\"$1\" bs=4096 seek=$at conv=notrunc status=none; done; sync", raw);
    }

    private static DiskImage open(Path image) throws IOException {
        return DiskImages.open(image, new DiskImages.Options(DiskImages.Access.INSPECT, null, List.of())).image();
    }

    private static byte[] content(DiskImage disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) disk.virtualSize());
        disk.guest().read(0, bytes);
        return bytes.array();
    }

    private static ExtentSet mapped(Path image, String driver) {
        Matcher line = DATA.matcher(Tools.ok("qemu-img", "map", "--output=json", "-f", driver, image.toString()));
        ExtentSet.Builder data = ExtentSet.builder();
        while (line.find()) {
            data.add(Long.parseLong(line.group(1)), Long.parseLong(line.group(2)));
        }
        return data.build();
    }

    @ParameterizedTest
    @CsvSource({"vpc,''", "vpc,subformat=fixed", "vhdx,''", "vhdx,subformat=fixed", "vmdk,''",
        "vmdk,subformat=twoGbMaxExtentSparse",
        "vmdk,subformat=monolithicFlat", "vmdk,subformat=streamOptimized", "vdi,''", "vdi,static=on", "qcow2,''"})
    void everyFormatTellsWhatItStores(String driver, String options) throws IOException {
        Path image = directory.resolve("image." + driver);
        Tools.shell("qemu-img convert -f raw -O $3 ${4:+-o $4} \"$1\" \"$2\"; sync", raw, image, driver, options);
        ExtentSet theirs = mapped(image, driver);
        try (DiskImage disk = open(image)) {
            byte[] content = content(disk);
            Holdings.check(disk, content);
            ExtentSet ours = disk.mayHoldData();
            // Where a fixed disk has holes, QEMU may know of less of them than the host; but never the other way round.
            assertEquals(ExtentSet.EMPTY, ours.minus(theirs).intersect(ExtentSet.ofRange(0, content.length)));
            assertTrue(!ours.isEmpty() && ours.totalBytes() < content.length / 2, ours.toString());
        }
    }

    @Test
    void holesThatThePunchLeftAreNoData() throws IOException {
        Path image = directory.resolve("image.vdi");
        Tools.shell("qemu-img convert -S 0 -f raw -O vdi \"$1\" \"$2\"; sync \"$2\"; start=$(($(od -An -t u4 -j 344 -N 4 "
                + "\"$2\")))\nfallocate -p -o $((start + 20480000)) -l 8M \"$2\"", raw, image);
        try (DiskImage disk = open(image)) {
            Holdings.check(disk, content(disk));
            assertTrue(disk.mayHoldData().totalBytes() <= disk.virtualSize() - (8 << 20) + 8192, disk.mayHoldData().toString());
        }
    }

    @ParameterizedTest
    @CsvSource({"''", "zeroed_grain=on"})
    void aChildTellsItsOwnFromItsParents(String options) throws IOException {
        Path base = directory.resolve("base.vmdk");
        Path child = directory.resolve("child.vmdk");
        Tools.shell("qemu-img convert -f raw -O vmdk \"$1\" \"$2\"; qemu-img create -q -f vmdk -b base.vmdk -F vmdk ${4:+-o $4} "
                + "\"$3\"\nqemu-io -f vmdk -c 'write -P 5 1M 200k' -c 'write -z 64k 1M' -c 'write -P 0 16M 64k' \"$3\" > "
                + "/dev/null; sync", raw,
                base, child, options);
        byte[] parent;
        try (DiskImage disk = open(base)) {
            parent = content(disk);
        }
        try (DiskImage disk = open(child)) {
            Holdings.checkOwn(disk, content(disk), parent);
            ExtentSet own = disk.ownRanges();
            assertTrue(own.contains(1 << 20, 200 << 10) && own.contains(16 << 20, 64 << 10) && own.totalBytes() < 3 << 20,
                    own.toString());
            assertTrue(disk.mayHoldData().contains(300 * 4096, 0) && disk.mayHoldData().contains(9000L * 4096, 70000),
                    "the parent's");
        }
    }
}
