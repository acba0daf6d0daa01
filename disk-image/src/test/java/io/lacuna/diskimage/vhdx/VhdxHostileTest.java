package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.VhdxMaker.BAT;
import static io.lacuna.diskimage.vhdx.VhdxMaker.FULL;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images that claim huge tables, opened and planned in a Java machine with 64 MiB. */
class VhdxHostileTest {

    private static final UUID GUID = new UUID(5, 6);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private final List<Path> images = new ArrayList<>();

    private interface Content {
        void into(VhdxMaker maker) throws IOException;
    }

    private void hostile(String name, long size, Content content) throws IOException {
        Path path = directory.resolve(name + ".vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(path, size, MIB)) {
            maker.store(0, FULL, 1);
            content.into(maker);
        }
        images.add(path);
    }

    /** Makes the log longer, in both headers, at another place. */
    private static void longLog(VhdxMaker maker, long offset, int length) throws IOException {
        maker.log(GUID);
        for (long at : new long[] {64 << 10, 128 << 10}) {
            ByteBuffer header = ByteBuffer.wrap(maker.get(at, 4096)).order(ByteOrder.LITTLE_ENDIAN);
            header.putInt(68, length).putLong(72, offset);
            VhdxMaker.seal(header);
            maker.put(at, header.array());
        }
        maker.setLength(offset + (length & 0xFFFF_FFFFL));
    }

    @Test
    void hugeCountsEndInWordsWithinLittleMemory() throws IOException {
        hostile("largest", 64L << 40, maker -> { });
        hostile("far-apart", 120_000L * MIB, maker -> {
            maker.setLength(127L << 40);
            ByteBuffer entries = VhdxMaker.buffer(MIB);
            for (int i = 0; i < 120_000; i++) {
                entries.putLong(8 * (i + i / 4096), (4L + batMib(maker) + i * 1100L) * MIB | FULL);
            }
            maker.put(BAT, entries.array());
        });
        hostile("same-place", 1L << 40, maker -> {
            ByteBuffer entries = VhdxMaker.buffer(8 * MIB);
            for (int i = 0; i < MIB; i++) {
                entries.putLong((maker.end() - MIB) | FULL);
            }
            maker.put(BAT, entries.array());
        });
        hostile("file-too-long", 8L * MIB, maker -> maker.setLength(129L << 40));
        hostile("longest-log", 8L * MIB, maker -> longLog(maker, 64L * MIB, -MIB));
        hostile("long-log", 8L * MIB, maker -> longLog(maker, 64L * MIB, 256 * MIB));
        hostile("many-changes", 8L * MIB, maker -> {
            longLog(maker, 64L * MIB, 16 * MIB);
            maker.put(64L * MIB, manyZeros(15 * MIB));
        });
        hostile("some-changes", 8L * MIB, maker -> {
            longLog(maker, 64L * MIB, 16 * MIB);
            maker.put(64L * MIB, manyZeros(8 * MIB));
        });
        hostile("many-entries", 8L * MIB, maker -> {
            longLog(maker, 64L * MIB, 16 * MIB);
            for (int i = 0; i < 4095; i++) { // a chain without its tail
                maker.put(64L * MIB + i * 4096L, VhdxMaker.logEntry(GUID, i + 1, 16L * MIB - 4096, 0, 0));
            }
        });
        hostile("far-change", 8L * MIB, maker -> {
            maker.putLog(0, VhdxMaker.logEntry(GUID, 1, 0, 0, 128L << 40,
                    VhdxMaker.Change.data(127L << 40, new byte[4096])));
            maker.log(GUID);
        });
        hostile("region-count", 8L * MIB, maker -> {
            ByteBuffer table = ByteBuffer.wrap(maker.get(192 << 10, 64 << 10)).order(ByteOrder.LITTLE_ENDIAN).putInt(8, -1);
            VhdxMaker.seal(table);
            maker.put(192 << 10, table.array());
            maker.put(256 << 10, table.array());
        });
        hostile("item-length", 8L * MIB, maker -> maker.put(VhdxMaker.METADATA + 32 + 20, new byte[] {-1, -1, -1, -1}));
        Path itself = directory.resolve("itself.vhdx");
        new VhdxMaker(itself, 8L * MIB, MIB, 512, false, Map.of("parent_linkage", "{11112222-3333-4444-5555-666677778888}",
                "relative_path", "itself.vhdx")).close();
        images.add(itself);

        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/java", "-Xmx64m", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                VhdxHostileTest.class.getName()));
        images.forEach(image -> command.add(image.toString()));
        String said = Tools.ok(command.toArray(String[]::new));
        for (String right : new String[] {"largest.vhdx: planned", "far-apart.vhdx: planned", "same-place.vhdx: refused",
            "file-too-long.vhdx: refused", "longest-log.vhdx: refused", "long-log.vhdx: refused", "many-changes.vhdx: refused",
            "some-changes.vhdx: planned",
            "many-entries.vhdx: refused", "far-change.vhdx: planned", "region-count.vhdx: refused", "item-length.vhdx: refused",
            "itself.vhdx: refused"}) {
            assertTrue(said.contains(right), () -> right + " expected, said:\n" + said);
        }
    }

    private static int batMib(VhdxMaker maker) {
        return maker.batLength() / MIB;
    }

    /** @return an entry of nothing but zero descriptors, each for a sector of its own */
    private static byte[] manyZeros(int length) {
        int count = (length - 64) / 32;
        ByteBuffer b = VhdxMaker.buffer(length);
        b.put(0, "loge".getBytes(StandardCharsets.US_ASCII)).putInt(8, length).putLong(16, 1).putInt(24, count);
        b.put(32, VhdxMaker.guid(GUID));
        for (int i = 0; i < count; i++) {
            int at = 64 + 32 * i;
            b.put(at, "zero".getBytes(StandardCharsets.US_ASCII)).putLong(at + 8, 4096)
                    .putLong(at + 16, (1L << 40) + i * 8192L).putLong(at + 24, 1);
        }
        VhdxMaker.seal(b);
        return b.array();
    }

    /** Opens, reads and plans each of the images; fails on anything but success and refusal. */
    public static void main(String[] images) throws IOException {
        for (String image : images) {
            Path path = Path.of(image);
            long start = System.nanoTime();
            String outcome;
            try (var opened = DiskImages.open(path, new DiskImages.Options(DiskImages.Access.INSPECT, null, List.of()))) {
                opened.image().guest().read(0, ByteBuffer.allocate(65536));
                outcome = "planned " + opened.image().plan(Runs.request(ReclaimMode.DEALLOCATE, ExtentSet.ofRange(0, MIB)))
                        .plannedBytes();
            } catch (DiskFormatException | EOFException e) {
                outcome = "refused: " + e.getMessage();
            }
            long millis = (System.nanoTime() - start) / 1_000_000;
            System.out.println(path.getFileName() + ": " + outcome + " (" + millis + " ms)");
            if (millis > 120_000) {
                throw new IOException("too slow");
            }
        }
    }
}
