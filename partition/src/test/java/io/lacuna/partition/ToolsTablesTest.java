package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tables made by sfdisk, sgdisk and parted are read as these tools read them. */
class ToolsTablesTest {

    private static final Pattern JSON = Pattern.compile("\"node\":\\s*\"[^\"]*?(\\d+)\",\\s*\"start\":\\s*(\\d+),\\s*\"size\":\\s*"
            + "(\\d+),\\s*\"type\":\\s*\"([^\"]+)\"");
    private static final Pattern SGDISK = Pattern.compile("(?m)^\\s+(\\d+)\\s+(\\d+)\\s+(\\d+) ");
    private static final Pattern PARTED = Pattern.compile("(?m)^(\\d+):(\\d+)B:(\\d+)B:(\\d+)B");

    @TempDir
    private Path directory;
    private Path image;
    /** A loop device with large sectors on the image; null as long as the tools work on the image itself. */
    private String device;

    @BeforeEach
    void makeFile() {
        image = directory.resolve("disk-");
        device = null;
    }

    @AfterEach
    void detach() {
        if (device != null) {
            Tools.ok("losetup", "--detach", device);
        }
    }

    private void blank(long size) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(0);
            file.setLength(size);
        }
    }

    private void blankWithSectors(int sectorSize) throws IOException {
        blank(64 << 20);
        if (sectorSize != 512) {
            Tools.requireLoopDevices();
            device = Tools.ok("losetup", "--find", "--show", "--sector-size", String.valueOf(sectorSize), image.toString())
                    .strip();
        }
    }

    /** @return what the tools work on */
    private String target() {
        return device != null ? device : image.toString();
    }

    private PartitionTable read() throws IOException {
        try (FileSource source = new FileSource(image)) {
            return PartitionTable.read(source);
        }
    }

    private static List<String> summary(PartitionTable table, long unit) {
        List<String> lines = new ArrayList<>();
        for (Partition partition : table.partitions()) {
            assertTrue(partition.refusal().isEmpty(), partition.toString());
            lines.add(partition.index() + ":" + partition.offset() / unit + "+" + partition.length() / unit);
        }
        return lines;
    }

    /** What sfdisk reads, without containers of logical partitions. */
    private List<String> sfdisk() {
        List<String> lines = new ArrayList<>();
        Matcher matcher = JSON.matcher(Tools.ok("sfdisk", "--json", target()));
        while (matcher.find()) {
            if (!List.of("5", "f", "85").contains(matcher.group(4))) {
                lines.add(matcher.group(1) + ":" + matcher.group(2) + "+" + matcher.group(3));
            }
        }
        assertTrue(!lines.isEmpty(), "sfdisk lists nothing");
        return lines;
    }

    private void write(String script) {
        Tools.okWithInput(script, "sfdisk", "--quiet", "--wipe", "never", "--no-reread", "--no-tell-kernel", target());
    }

    @ParameterizedTest
    @CsvSource({"512", "4096"})
    void gptOfSfdisk(int sectorSize) throws IOException {
        Tools.require("sfdisk");
        blankWithSectors(sectorSize);
        write("label: gpt\nsize=1M\nsize=5M, type=swap\nstart=" + (20 << 20) / sectorSize
                + ", size=10M, type=uefi\nsize=+\n");
        assertEquals(sfdisk(), summary(read(), sectorSize));
    }

    @Test
    void gptWithOtherNumbersOfEntries() throws IOException {
        Tools.require("sfdisk");
        for (int count : new int[] {4, 128, 256, 1024}) {
            blank(16 << 20);
            write("label: gpt\ntable-length: " + count + "\nsize=1M\n/dev/x3 : size=2M\n");
            assertEquals(sfdisk(), summary(read(), 512));
        }
    }

    @Test
    void mbrOfSfdiskWithLogicalPartitions() throws IOException {
        Tools.require("sfdisk");
        blank(64 << 20);
        write("label: dos\nsize=1M, type=7, bootable\nsize=3M, type=83\nsize=50M, type=f\nsize=+,type=8e\n"
                + "size=2M\nsize=5M,type=7\nsize=7M,type=82\nsize=+\n");
        assertEquals(sfdisk(), summary(read(), 512));
    }

    @Test
    void logicalPartitionsOfSfdiskOnLargeSectors() throws IOException {
        Tools.require("sfdisk");
        blankWithSectors(4096);
        write("label: dos\nsize=1M, type=7\nsize=40M, type=5\nsize=2M\nsize=5M,type=7\nsize=+\n");
        assertEquals(sfdisk(), summary(read(), 4096));
    }

    @Test
    void logicalPartitionsAfterSomeWereDeleted() throws IOException {
        Tools.require("sfdisk");
        blank(64 << 20);
        write("label: dos\nsize=1M\nsize=60M, type=5\n\n\nsize=2M\nsize=5M\nsize=7M\nsize=9M\n");
        for (String deleted : List.of("5", "6")) {
            Tools.ok("sfdisk", "--quiet", "--delete", image.toString(), deleted);
            assertEquals(sfdisk(), summary(read(), 512));
        }
    }

    @Test
    void randomLayoutsOfSfdisk() throws IOException {
        Tools.require("sfdisk");
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int round = 0; round < 12; round++) {
            boolean gpt = random.nextBoolean();
            blank((64 << 20) + 512);
            StringBuilder script = new StringBuilder("label: " + (gpt ? "gpt" : "dos") + "\n");
            long next = 2048;
            int primaries = gpt ? 1 + random.nextInt(12) : 3;
            for (int i = 0; i < primaries; i++) {
                long size = 1 + random.nextInt(5000);
                next += random.nextInt(3000);
                script.append("start=").append(next).append(", size=").append(size).append('\n');
                next += size;
            }
            if (!gpt) {
                script.append("start=").append(next).append(", size=").append(131073 - next).append(", type=5\n");
                for (int i = 0; i < random.nextInt(10); i++) {
                    next += 2048 + random.nextInt(3000);
                    long size = 1 + random.nextInt(5000);
                    script.append("start=").append(next).append(", size=").append(size).append('\n');
                    next += size;
                }
            }
            write(script.toString());
            assertEquals(sfdisk(), summary(read(), 512), "seed " + seed + "\n" + script);
        }
    }

    /** As {@code sgdisk -p} lists the device or file. */
    private static List<String> sgdisk(String device) {
        List<String> lines = new ArrayList<>();
        Matcher matcher = SGDISK.matcher(Tools.ok("sgdisk", "-p", device));
        while (matcher.find()) {
            long start = Long.parseLong(matcher.group(2));
            lines.add(matcher.group(1) + ":" + start + "+" + (Long.parseLong(matcher.group(3)) - start + 1));
        }
        assertTrue(!lines.isEmpty(), "sgdisk lists nothing");
        return lines;
    }

    @Test
    void gptOfSgdiskAndParted() throws IOException {
        Tools.require("sgdisk", "parted");
        blank(64 << 20);
        Tools.ok("sgdisk", "-a", "1", "-n", "3:5000:6000", "-n", "1:40:99", "-n", "7:70000:0", "-t", "7:8200", image.toString());
        assertEquals(sgdisk(image.toString()), summary(read(), 512));
        List<String> parted = new ArrayList<>();
        Matcher matcher = PARTED.matcher(Tools.ok("parted", "-sm", image.toString(), "unit", "B", "print"));
        while (matcher.find()) {
            parted.add(matcher.group(1) + ":" + matcher.group(2) + "+" + matcher.group(4));
        }
        List<String> mine = new ArrayList<>(summary(read(), 1));
        mine.sort(null);
        parted.sort(null);
        assertEquals(parted, mine);
    }

    @Test
    void sgdiskOnADiskWithLargeSectors() throws IOException {
        Tools.require("sgdisk");
        blankWithSectors(4096);
        Tools.ok("sgdisk", "-n", "1:256:511", "-n", "2:1024:+8M", target());
        assertEquals(sgdisk(target()), summary(read(), 4096));
    }

    @Test
    void hybridMbrOfSgdisk() throws IOException {
        Tools.require("sgdisk");
        blank(64 << 20);
        Tools.ok("sgdisk", "-n", "1:2048:4095", "-n", "2:8192:16383", "-h", "1:2", image.toString());
        PartitionTable table = read();
        assertEquals(sgdisk(image.toString()), summary(table, 512));
        assertEquals(List.of("Hybrid MBR: the GPT counts."), table.remarks());
        byte[] hybrid = new byte[512];
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.readFully(hybrid);
            // sgdisk takes the deleted partition out of the hybrid MBR as well; other tools do not know that they should.
            Tools.ok("sgdisk", "-d", "2", "-n", "2:8192:16000", "-n", "3:20480:30000", image.toString());
            file.seek(0);
            file.write(hybrid);
        }
        table = read();
        assertTrue(table.partitions().get(0).refusal().isEmpty());
        assertTrue(table.partitions().get(1).refusal().isPresent());
        assertTrue(table.partitions().get(2).refusal().isEmpty());
    }

    @Test
    void diskGrownAsQemuImgDoes() throws IOException {
        Tools.require("sgdisk");
        blank(64 << 20);
        Tools.ok("sgdisk", "-n", "1:2048:4095", image.toString());
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(100 << 20);
        }
        PartitionTable table = read();
        assertEquals(List.of("1:2048+2048"), summary(table, 512));
        assertTrue(table.remarks().get(0).contains("made larger"));
        Tools.ok("sgdisk", "-e", image.toString());
        table = read();
        assertEquals(List.of("1:2048+2048"), summary(table, 512));
        assertEquals(List.of(), table.remarks());
    }

    @Test
    void primaryGptLostAndFoundAsSgdiskFindsIt() throws IOException {
        Tools.require("sgdisk");
        blank(64 << 20);
        Tools.ok("sgdisk", "-n", "1:2048:4095", image.toString());
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(512);
            file.write(new byte[512]);
        }
        PartitionTable table = read();
        assertEquals(List.of("1:2048+2048"), summary(table, 512));
        assertEquals(List.of("The primary GPT is damaged; the backup copy was used."), table.remarks());
    }

    @ParameterizedTest
    @CsvSource({"gpt, gpt", "dos, mbr"})
    void schemeAgreesWithBlkid(String label, String scheme) throws IOException {
        Tools.require("sfdisk", "blkid");
        blank(64 << 20);
        write("label: " + label + "\nsize=60M\n");
        assertTrue(Tools.ok("blkid", "-p", image.toString()).contains("PTTYPE=\"" + label + "\""));
        assertEquals(scheme, read().scheme());
    }
}
