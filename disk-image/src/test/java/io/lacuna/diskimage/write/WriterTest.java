package io.lacuna.diskimage.write;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Large and odd disks, written piece by piece and read by QEMU. */
class WriterTest {

    private static final long GIB = 1L << 30;
    private static final long TIB = 1L << 40;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private static WriteRequest request(long size, boolean compress) {
        return new WriteRequest(size, "disk", compress, null, ExtentSet.EMPTY, 512);
    }

    /** Places where tables begin and end, and the disk's last bytes; some pages of each, random or easy to compress. */
    private static Map<Long, byte[]> content(long size) {
        Random random = new Random(size);
        Map<Long, byte[]> content = new TreeMap<>();
        for (long border : new long[] {0, 32L << 20, 512L << 20, GIB, 4 * GIB, 8 * GIB, 32 * GIB, 255 * GIB, TIB, size}) {
            for (long start : new long[] {border - Chunk.SIZE, border, border + 3L * Chunk.SIZE}) {
                long chunk = (start == size - Chunk.SIZE ? size - 1 : start) / Chunk.SIZE * Chunk.SIZE;
                if (chunk < 0 || chunk >= size) {
                    continue;
                }
                byte[] bytes = new byte[(int) Math.min(Chunk.SIZE, size - chunk)];
                for (int i = 0; i < 6; i++) {
                    int from = random.nextInt(bytes.length);
                    byte[] piece = new byte[Math.min(bytes.length - from, 1 + random.nextInt(150_000))];
                    if (random.nextBoolean()) {
                        random.nextBytes(piece);
                    } else {
                        Arrays.fill(piece, (byte) random.nextInt());
                    }
                    System.arraycopy(piece, 0, bytes, from, piece.length);
                }
                bytes[bytes.length - 1] = 1;
                content.put(chunk, bytes);
            }
        }
        return content;
    }

    private static void write(OutputFormat format, WriteRequest request, Path path, Map<Long, byte[]> content)
            throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw");
                ImageWriter writer = format.writer(file, request)) {
            Chunk chunk = new Chunk();
            for (Map.Entry<Long, byte[]> piece : content.entrySet()) {
                byte[] bytes = piece.getValue();
                chunk.reset(piece.getKey(), bytes.length);
                chunk.bytes().put(0, bytes);
                int end = (bytes.length + Chunk.PAGE - 1) / Chunk.PAGE * Chunk.PAGE;
                chunk.zero(bytes.length, end);
                chunk.scan(0, end);
                writer.prepare(chunk);
                writer.write(chunk);
            }
            writer.finish();
        }
    }

    @ParameterizedTest
    @CsvSource({"RAW,1572864,raw", "QCOW2,1572864,qcow2", "VHD,1024,vpc", "VHDX,1024,vhdx",
        "VMDK,9216,vmdk", "VMDK_STREAM,9216,vmdk", "VDI,1024,vdi", "QCOW2,1,qcow2", "VHD,1,vpc",
        "VDI,1,vdi", "VMDK,1,vmdk", "VMDK_STREAM,1,vmdk", "VHDX,1,vhdx"})
    void qemuReadsWhatWasWritten(OutputFormat format, long mebibytes, String driver) throws IOException {
        Tools.require("qemu-img");
        // Neither a whole block nor a whole page at the end.
        long size = (mebibytes << 20) + 7 * 512;
        Map<Long, byte[]> content = content(size);
        Path expected = directory.resolve("expected.raw");
        try (RandomAccessFile raw = new RandomAccessFile(expected.toFile(), "rw")) {
            for (Map.Entry<Long, byte[]> piece : content.entrySet()) {
                raw.seek(piece.getKey());
                raw.write(piece.getValue());
            }
            raw.setLength(size);
        }
        for (boolean compress : format == OutputFormat.QCOW2 ? new boolean[] {false, true} : new boolean[] {false}) {
            Path image = directory.resolve("image." + compress);
            write(format, request(size, compress), image, content);
            // The VMDK and VPC drivers round sizes; what is behind the end must be zeros.
            String compared = Tools.ok("qemu-img", "compare", "-f", "raw", "-F", driver, expected.toString(), image.toString());
            assertTrue(compared.contains("identical"), compared);
            if (!driver.equals("raw") && !driver.equals("vpc")) {
                String check = Tools.ok("qemu-img", "check", "-f", driver, image.toString());
                assertTrue(check.contains("No errors"), check);
            }
        }
    }

    /** QEMU would read the whole disk to compare these; so only the pieces that were written are looked at. */
    @ParameterizedTest
    @CsvSource({"VHDX,2097152,vhdx", "VHDX,9437184,vhdx", "VHD,1572864,vpc"})
    void qemuFindsThePiecesOfALargeDisk(OutputFormat format, long mebibytes, String driver) throws IOException {
        Tools.require("qemu-img");
        long size = (mebibytes << 20) + 7 * 512;
        Map<Long, byte[]> content = content(size);
        Path image = directory.resolve("image");
        write(format, request(size, false), image, content);
        Path piece = directory.resolve("piece");
        for (Map.Entry<Long, byte[]> one : content.entrySet()) {
            if (one.getValue().length == Chunk.SIZE && one.getKey() >= 32L << 30) {
                Tools.ok("qemu-img", "dd", "-f", driver, "-O", "raw", "bs=" + Chunk.SIZE, "skip=" + one.getKey() / Chunk.SIZE,
                        "count=" + (one.getKey() / Chunk.SIZE + 1), "if=" + image, "of=" + piece);
                assertArrayEquals(one.getValue(), Arrays.copyOf(Files.readAllBytes(piece), Chunk.SIZE));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"VHD,2040", "VHDX,65536", "VMDK,2016", "VMDK_STREAM,2016", "VDI,65536"})
    void whatAFormatCannotHoldIsRefused(OutputFormat format, long gibibytes) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(directory.resolve("image").toFile(), "rw")) {
            format.writer(file, request(gibibytes * GIB, false)).close();
            assertThrows(UnsupportedException.class, () -> format.writer(file, request(gibibytes * GIB + 512, false)));
        }
    }

    @Test
    void aNameThatADescriptorCannotHoldIsRefused() throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(directory.resolve("image").toFile(), "rw")) {
            WriteRequest quoted = new WriteRequest(GIB, "a\"b", false, null, ExtentSet.EMPTY, 512);
            assertThrows(UnsupportedException.class, () -> OutputFormat.VMDK.writer(file, quoted));
        }
    }

    @Test
    void anEmptyDiskIsSmall() throws IOException {
        Tools.require("qemu-img");
        for (OutputFormat format : OutputFormat.values()) {
            Path image = directory.resolve(format.word());
            write(format, request(64 << 20, format == OutputFormat.QCOW2), image, Map.of());
            String driver = format == OutputFormat.VHD ? "vpc" : format == OutputFormat.VMDK_STREAM ? "vmdk" : format.word();
            assertTrue(Tools.ok("qemu-img", "info", "-f", driver, image.toString()).contains("64 MiB"));
            assertTrue(format == OutputFormat.RAW || image.toFile().length() <= 4 << 20, format.word());
        }
    }

    @Test
    void aChunkThatIsUsedAgainRemembersNothing() {
        Chunk chunk = new Chunk();
        chunk.reset(0, Chunk.SIZE);
        chunk.zero(0, Chunk.SIZE);
        chunk.bytes().put(3 * Chunk.PAGE + 9, (byte) 1);
        chunk.scan(0, Chunk.SIZE);
        assertEquals(Chunk.PAGE, chunk.filledBytes());
        assertEquals(3 * Chunk.PAGE, chunk.next(true, 0, Chunk.SIZE));
        chunk.reset(Chunk.SIZE, Chunk.SIZE);
        assertTrue(chunk.isZero(0, Chunk.SIZE));
        assertArrayEquals(new byte[Chunk.SIZE], chunk.copy(0, Chunk.SIZE));
    }

    @ParameterizedTest
    @CsvSource({"raw,raw", "vhd,vpc", "vhdx,vhdx", "vdi,vdi", "vmdk,vmdk"})
    void aParentOfAnyFormatShowsThrough(String format, String driver) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path base = directory.resolve("base");
        Path image = directory.resolve("child.qcow2");
        Tools.shell("qemu-img create -q -f $2 \"$1\" 8M; qemu-io -f $2 -c 'write -P 5 0 4M' \"$1\" > /dev/null", base, driver);
        long size = Long.parseLong(Tools.shell("qemu-img info -f $2 \"$1\" | sed -n 's/^virtual size.*(\\([0-9]*\\) bytes)/\\1/p'",
                base, driver)
                .strip());
        WriteRequest child = new WriteRequest(size, "child.qcow2", false, new WriteRequest.Backing("base", format),
                ExtentSet.ofRange(2 << 20, 1 << 20), 512);
        write(OutputFormat.QCOW2, child, image, Map.of());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "read -P 5 0 2M", "-c", "read -P 0 2M 1M", "-c", "read -P 5 3M 1M",
                image.toString());
        assertTrue(Tools.ok("qemu-img", "info", image.toString()).contains("backing file format: " + driver));
    }
}
