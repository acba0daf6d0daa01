package io.lacuna.diskimage.vhdx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.lacuna.blockio.Extent;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** Random logs, tables and bitmaps against plain models. */
class VhdxProperties {

    private static final int MIB = 1 << 20;
    private static final UUID GUID = new UUID(7, 8);

    @Property(tries = 150)
    void aReplayedLogReadsLikeAFileThatTheChangesWereWrittenTo(@ForAll Random random,
            @ForAll @IntRange(min = 1, max = 6) int entries) throws IOException {
        byte[] file = new byte[3 * MIB];
        random.nextBytes(file);
        byte[] model = Arrays.copyOf(file, 4 * MIB);
        long start = random.nextInt(256) * 4096L;
        long at = start;
        for (int i = 0; i < entries; i++) {
            VhdxMaker.Change[] changes = new VhdxMaker.Change[random.nextInt(6)];
            for (int c = 0; c < changes.length; c++) {
                changes[c] = change(random, model);
            }
            byte[] entry = VhdxMaker.logEntry(GUID, 100 + i, start, 3 * MIB, 4 * MIB, changes);
            for (int s = 0; s < entry.length; s += 4096) {
                System.arraycopy(entry, s, file, MIB + (int) ((at + s) % MIB), 4096);
            }
            at = (at + entry.length) % MIB;
        }
        System.arraycopy(file, MIB, model, MIB, MIB); // the log itself
        ReplayedLog log = ReplayedLog.of(new LogRegion(new ByteArraySource(file), new Extent(MIB, MIB)),
                Guid.of(GUID.toString()));
        assertEquals(4 * MIB, log.size());
        ByteBuffer whole = ByteBuffer.allocate(4 * MIB);
        log.read(0, whole);
        assertEquals(-1, Arrays.mismatch(model, whole.array()));
        for (int i = 0; i < 20; i++) {
            int offset = random.nextInt(4 * MIB);
            int length = Math.min(4 * MIB - offset, random.nextInt(30_000));
            ByteBuffer part = ByteBuffer.allocate(length + 7).position(3).limit(3 + length);
            log.read(offset, part);
            assertEquals(3 + length, part.position());
            assertEquals(-1, Arrays.mismatch(model, offset, offset + length, part.array(), 3, 3 + length));
        }
        byte[] applied = Arrays.copyOf(file, 4 * MIB);
        log.forEachPiece((offset, bytes) -> bytes.get(applied, (int) offset, bytes.remaining()));
        assertEquals(-1, Arrays.mismatch(model, applied), "written out");
    }

    /** Sectors of the second half of the first MiB and of the last two: few, so that they meet. */
    private static VhdxMaker.Change change(Random random, byte[] model) {
        boolean first = random.nextInt(3) == 0;
        int from = first ? 64 : 512;
        int sectors = first ? 40 : 60;
        int sector = from + random.nextInt(sectors);
        if (random.nextBoolean()) {
            int count = 1 + random.nextInt(from + sectors - sector);
            Arrays.fill(model, sector * 4096, (sector + count) * 4096, (byte) 0);
            return VhdxMaker.Change.zeros(sector * 4096L, count * 4096L);
        }
        byte[] data = new byte[4096];
        random.nextBytes(data);
        System.arraycopy(data, 0, model, sector * 4096, 4096);
        return VhdxMaker.Change.data(sector * 4096L, data);
    }

    @Property(tries = 300)
    void runsOfEqualBitsEndWhereTheyDo(@ForAll Random random) {
        byte[] bytes = new byte[TablePages.PAGE];
        int first = random.nextInt(4000);
        boolean set = random.nextBoolean();
        Arrays.fill(bytes, (byte) (set ? -1 : 0));
        for (int i = 0; i < random.nextInt(3); i++) {
            int bit = first + random.nextInt(2000);
            bytes[bit / 8] ^= (byte) (1 << bit % 8);
        }
        ByteBuffer page = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int end = first + 1 + random.nextInt(3000);
        int expected = first + 1;
        while (expected < end && SectorBitmap.isSet(page, expected) == SectorBitmap.isSet(page, first)) {
            expected++;
        }
        assertEquals(expected, SectorBitmap.runEnd(page, first, end));
    }

    @Property(tries = 200)
    void theTableInterleavesBitmapsBehindTheBlocksOfEachChunk(@ForAll @IntRange(min = 0, max = 8) int blockBits,
            @ForAll boolean large, @ForAll @IntRange(min = 1, max = 40_000) int megabytes) {
        int sector = large ? 4096 : 512;
        long size = (long) megabytes * MIB + sector;
        BatLayout layout = BatLayout.of(new VhdxMetadata(MIB << blockBits, false, size, sector, null));
        List<Integer> order = new ArrayList<>(); // block number, or -1 - chunk
        int block = 0;
        for (int chunk = 0; (long) block * layout.blockSize() < size; chunk++) {
            for (int i = 0; i < layout.chunkRatio(); i++) {
                order.add(block++);
            }
            order.add(-1 - chunk);
        }
        assertEquals((long) BatLayout.CHUNK_SECTORS * sector, (long) layout.chunkRatio() * layout.blockSize());
        assertEquals(order.size(), layout.entries(true));
        for (int b = 0; b < layout.payloadBlocks(); b++) {
            assertEquals(b, order.get((int) layout.payloadIndex(b)));
        }
        for (int chunk = 0; chunk < layout.chunks(); chunk++) {
            assertEquals(-1 - chunk, order.get((int) layout.bitmapIndex(chunk)));
        }
        assertEquals(layout.payloadIndex(layout.payloadBlocks() - 1) + 1, layout.entries(false));
        assertEquals(size, layout.guestOffset(layout.payloadBlocks() - 1) + layout.guestLength(layout.payloadBlocks() - 1));
    }
}
