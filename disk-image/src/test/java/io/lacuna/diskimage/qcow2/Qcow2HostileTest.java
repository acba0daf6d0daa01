package io.lacuna.diskimage.qcow2;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images that claim huge tables, opened and planned in a Java machine with 64 MiB. */
class Qcow2HostileTest {

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private interface Damage {
        void to(RandomAccessFile file) throws IOException;
    }

    private Path hostile(String name, Damage damage) throws IOException {
        Path copy = Files.copy(directory.resolve("image.qcow2"), directory.resolve(name), StandardCopyOption.REPLACE_EXISTING);
        try (RandomAccessFile file = new RandomAccessFile(copy.toFile(), "rw")) {
            damage.to(file);
        }
        return copy;
    }

    private static void ints(RandomAccessFile file, long at, int... values) throws IOException {
        file.seek(at);
        for (int value : values) {
            file.writeInt(value);
        }
    }

    @Test
    void hugeCountsEndInWordsWithinLittleMemory() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("cd \"$1\"; qemu-img create -q -f qcow2 image.qcow2 64M; qemu-io -f qcow2 -c 'write -P 1 0 1M' image.qcow2\n"
                + "qemu-img snapshot -c one image.qcow2; qemu-img bitmap --add image.qcow2 dirty", directory);
        List<Path> images = new ArrayList<>();
        images.add(hostile("l1", file -> ints(file, 36, -1)));
        images.add(hostile("l1-max", file -> {
            ints(file, 36, 4 << 20);
            file.setLength(1L << 40);
        }));
        images.add(hostile("l1-same", file -> { // every entry names the same L2 table
            file.seek(40);
            long l1 = file.readLong();
            file.seek(l1);
            long entry = file.readLong();
            file.setLength(64 << 20);
            ints(file, 36, 4 << 20);
            file.seek(40);
            file.writeLong(16 << 20);
            file.seek(16 << 20);
            byte[] entries = new byte[1 << 20];
            for (int i = 0; i < entries.length; i += 8) {
                java.nio.ByteBuffer.wrap(entries).putLong(i, entry);
            }
            for (int i = 0; i < 32; i++) {
                file.write(entries);
            }
        }));
        images.add(hostile("l1-same-stored", file -> { // the same, and the table has every second cluster
            file.seek(40);
            long l1 = file.readLong();
            file.seek(l1);
            long l2 = file.readLong() & 0x00FF_FFFF_FFFF_FE00L;
            file.seek(24);
            file.writeLong(4L << 20 << 29);
            file.setLength(64 << 20);
            ints(file, 36, 4 << 20);
            file.seek(40);
            file.writeLong(16 << 20);
            byte[] table = new byte[65536];
            for (int i = 0; i < table.length; i += 16) {
                java.nio.ByteBuffer.wrap(table).putLong(i, 48 << 20);
            }
            file.seek(l2);
            file.write(table);
            byte[] entries = new byte[1 << 20];
            for (int i = 0; i < entries.length; i += 8) {
                java.nio.ByteBuffer.wrap(entries).putLong(i, l2);
            }
            file.seek(16 << 20);
            for (int i = 0; i < 32; i++) {
                file.write(entries);
            }
        }));
        images.add(hostile("l1-holes", file -> { // 4 Mi L2 tables in holes
            file.setLength(1L << 40);
            ints(file, 36, 4 << 20);
            file.seek(40);
            file.writeLong(16 << 20);
            file.seek(16 << 20);
            byte[] entries = new byte[1 << 20];
            for (int i = 0; i < 4 << 20; i++) {
                java.nio.ByteBuffer.wrap(entries).putLong(i % (1 << 17) * 8, (1L << 30) + ((long) i << 16));
                if (i % (1 << 17) == (1 << 17) - 1) {
                    file.write(entries);
                }
            }
        }));
        images.add(hostile("snapshots", file -> ints(file, 60, 65536)));
        images.add(hostile("snapshots-more", file -> ints(file, 60, -1)));
        images.add(hostile("refcounts", file -> ints(file, 56, -1)));
        images.add(hostile("refcounts-max", file -> {
            ints(file, 56, 128);
            file.setLength(1L << 42);
        }));
        images.add(hostile("tiny-clusters", file -> { // 2^35 clusters
            ints(file, 20, 9);
            file.setLength(1L << 43);
        }));
        images.add(hostile("backing", file -> {
            file.seek(8);
            file.writeLong(4096);
            file.writeInt(-1);
        }));
        images.add(hostile("size", file -> {
            file.seek(24);
            file.writeLong(Long.MAX_VALUE);
        }));
        for (int at = 112; at < 400; at += 8) { // the bitmaps extension, wherever it is
            int field = at;
            images.add(hostile("extension" + at, file -> ints(file, field, 0x23852875, -1)));
        }
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx64m", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                Qcow2HostileTest.class.getName()));
        images.forEach(image -> command.add(image.toString()));
        String said = Tools.ok(command.toArray(String[]::new));
        assertTrue(said.contains("l1: refused") && said.contains("l1-same: refused")
                && said.contains("l1-same-stored: refused") && said.contains("l1-holes: refused"),
                said);
    }

    /** Opens, reads and plans each of the images; fails on anything but success and refusal. */
    public static void main(String[] images) throws IOException {
        for (String image : images) {
            Path path = Path.of(image);
            long start = System.nanoTime();
            String outcome;
            try (DiskImage disk = Images.open(path, false)) {
                disk.guest().read(0, java.nio.ByteBuffer.allocate(65536));
                disk.mayHoldData();
                outcome = "planned " + disk.plan(Images.request(ExtentSet.ofRange(0, 1 << 20))).plannedBytes();
            } catch (DiskFormatException | EOFException e) {
                outcome = "refused: " + e.getMessage();
            }
            System.out.println(path.getFileName() + ": " + outcome);
            if (System.nanoTime() - start > 60_000_000_000L) {
                throw new IOException("too slow");
            }
        }
    }
}
