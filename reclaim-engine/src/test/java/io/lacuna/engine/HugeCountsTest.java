package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Counts as large as the fields hold, in files that take next to nothing on the host: all that a run reads of them ends in words,
 * in a process of 64 MiB of heap.
 */
class HugeCountsTest {

    private static final ThreadMXBean CPU = ManagementFactory.getThreadMXBean();

    @TempDir
    Path directory;

    private final List<Path> images = new ArrayList<>();

    /** Changes a copy of an image. */
    private interface Damage {
        void to(RandomAccessFile file) throws IOException;
    }

    private void hostile(String name, String pristine, Damage damage) throws IOException {
        // By itself, for whatever lies beside an image is looked at, too.
        Path copy = Files.createDirectory(directory.resolve("of-" + name)).resolve(name);
        Files.copy(directory.resolve(pristine), copy);
        try (RandomAccessFile file = new RandomAccessFile(copy.toFile(), "rw")) {
            damage.to(file);
        }
        images.add(copy);
    }

    private static void little(RandomAccessFile file, long at, int size, long value) throws IOException {
        byte[] bytes = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
        file.seek(at);
        file.write(bytes, 0, size);
    }

    /** Dynamic header of a VHD, with its checksum made right. */
    private static void vhd(RandomAccessFile file, int entries, int blockSize, long length) throws IOException {
        byte[] header = new byte[1024];
        file.seek(512);
        file.readFully(header);
        ByteBuffer fields = ByteBuffer.wrap(header).putInt(28, entries).putInt(32, blockSize).putInt(36, 0);
        int sum = 0;
        for (byte one : header) {
            sum += one & 0xFF;
        }
        fields.putInt(36, ~sum);
        file.seek(512);
        file.write(header);
        // The footer is gone; its copy at the start counts.
        file.setLength(length);
    }

    @Test
    void endInWordsWithinLittleMemory() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("cd \"$1\"; qemu-img create -q -f vpc -o force_size=on vhd 64M; qemu-img create -q -f vdi vdi 64M\n"
                + "qemu-img create -q -f vmdk vmdk 64M; qemu-img create -q -f vhdx -o block_size=1M vhdx 64M\n"
                + "for image in vdi vmdk vhdx; do qemu-io -f $image -c 'write -P 1 0 1M' $image > /dev/null; done\n"
                + "qemu-io -f vpc -c 'write -P 1 0 1M' vhd > /dev/null", directory);
        for (int entries : new int[] {1 << 22, 1 << 20, (1 << 22) + 1, 0x4000_0001, -1}) {
            for (int blockSize : new int[] {512, 2 << 20, 1 << 30}) {
                hostile("vhd-" + entries + "-" + blockSize, "vhd", file -> vhd(file, entries, blockSize, 1L << 41));
            }
        }
        hostile("vhd-no-blocks", "vhd", file -> {
            file.seek(1536);
            byte[] none = new byte[1 << 20];
            java.util.Arrays.fill(none, (byte) -1);
            for (int i = 0; i < 16; i++) {
                file.write(none);
            }
            vhd(file, 1 << 22, 512, 1L << 40);
        });
        for (long blocks : new long[] {1L << 20, 1L << 26, 0x1FFF_FFFF, 0x7FFF_FFFF, 0xFFFF_FFFFL}) {
            for (int blockSize : new int[] {1 << 20, 4096, 512}) {
                hostile("vdi-" + blocks + "-" + blockSize, "vdi", file -> {
                    little(file, 376, 4, blockSize);
                    little(file, 384, 4, blocks);
                    little(file, 388, 4, blocks);
                    little(file, 368, 8, blocks * blockSize);
                    little(file, 344, 4, 512 + Math.min(blocks * 4, 0xFFFF_FC00L) / 512 * 512);
                    file.setLength(1L << 43);
                });
            }
        }
        for (long capacity : new long[] {1L << 32, 1L << 36, 1L << 40, 1L << 50}) {
            for (long[] grain : new long[][] {{128, 512}, {1, 512}, {128, 1}, {8, 1 << 20}, {4096, 512}}) {
                hostile("vmdk-" + capacity + "-" + grain[0] + "-" + grain[1], "vmdk", file -> {
                    little(file, 12, 8, capacity);
                    little(file, 20, 8, grain[0]);
                    little(file, 44, 4, grain[1]);
                    file.setLength(1L << 43);
                });
            }
        }
        for (int at = 0; at < 64; at += 4) { // the region tables, and the table of metadata
            for (long table : new long[] {192 << 10, 2 << 20}) {
                int field = at;
                hostile("vhdx-" + table + "-" + at, "vhdx", file -> {
                    little(file, table + field, 4, -1);
                    file.setLength(1L << 43);
                });
            }
        }
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx64m", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                HugeCountsTest.class.getName()));
        images.forEach(image -> command.add(image.toString()));
        String said = Tools.ok(command.toArray(String[]::new));
        List<String> outcomes = Stream.of(said.split("\n")).filter(line -> line.contains(" = ")).toList();
        assertEquals(images.size() * 3, outcomes.size(), said);
        assertEquals(List.of(), outcomes.stream().filter(line -> line.contains(" = FAILED")).toList());
    }

    /** Looks at, plans and compacts each of the images; nothing but success and refusal may come of it. */
    public static void main(String[] images) {
        for (String image : images) {
            for (ReclaimMode mode : ReclaimMode.values()) {
                long start = CPU.getCurrentThreadCpuTime();
                ImageReport report = Reclaimer.run(Path.of(image), ReclaimOptions.builder().purpose(ReclaimOptions.Purpose.DRY_RUN)
                        .mode(mode).zeroes(mode == ReclaimMode.COMPACT).build(), Progress.NONE);
                long millis = (CPU.getCurrentThreadCpuTime() - start) / 1_000_000;
                System.out.println(Path.of(image).getFileName() + " " + mode + " = " + report.verdict() + " " + report.reason()
                        + " (" + millis
                        + " ms)");
                if (millis > 10_000) {
                    throw new IllegalStateException(image + " took " + millis + " ms");
                }
            }
        }
    }
}
