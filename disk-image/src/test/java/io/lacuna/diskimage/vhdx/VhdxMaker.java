package io.lacuna.diskimage.vhdx;

import java.io.Closeable;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.zip.CRC32C;

/**
 * Writes VHDX images from the specification, with nothing of the reader's: for what no tool here makes (differencing disks,
 * logs to replay) and for damaged ones. Layout: headers, log at 1 MiB, metadata at 2 MiB, block allocation table at 3 MiB,
 * blocks behind it as they are added.
 */
final class VhdxMaker implements Closeable {

    static final int MIB = 1 << 20;
    static final int LOG = MIB;
    static final int METADATA = 2 * MIB;
    static final int BAT = 3 * MIB;
    static final int FULL = 6;
    static final int PARTIAL = 7;
    static final String LINKAGE = "parent_linkage";
    static final String RELATIVE = "relative_path";

    /** One thing that a log entry says: zeros for a length, or a sector of data. */
    record Change(long offset, long zeros, byte[] data) {
        static Change zeros(long offset, long length) {
            return new Change(offset, length, null);
        }

        static Change data(long offset, byte[] sector) {
            return new Change(offset, 0, sector);
        }
    }

    private final RandomAccessFile file;
    private final int blockSize;
    private final int sectorSize;
    private final int batLength;
    private long end;
    private UUID dataWrite = new UUID(0x1111_2222_3333_4444L, 0x5555_6666_7777_8888L);
    private UUID fileWrite = new UUID(0x2111_2222_3333_4444L, 0x5555_6666_7777_8888L);
    private UUID log = new UUID(0, 0);
    private int logLength = MIB;
    private long sequence = 7;

    /** @param parent entries of the parent locator; empty for a disk without one */
    VhdxMaker(Path path, long virtualSize, int blockSize, int sectorSize, boolean fixed, Map<String, String> parent)
            throws IOException {
        this.file = new RandomAccessFile(path.toFile(), "rw");
        this.blockSize = blockSize;
        this.sectorSize = sectorSize;
        long blocks = (virtualSize + blockSize - 1) / blockSize;
        long entries = (blocks / chunkRatio() + 1) * (chunkRatio() + 1);
        this.batLength = (int) ((entries * 8 + MIB - 1) / MIB * MIB);
        this.end = BAT + batLength;
        file.setLength(end);
        put(0, "vhdxfile".getBytes(StandardCharsets.US_ASCII));
        put(8, "Lacuna's tests".getBytes(StandardCharsets.UTF_16LE));
        regions();
        metadata(virtualSize, (fixed ? 1 : 0) | (parent.isEmpty() ? 0 : 2), parent);
        headers();
    }

    static VhdxMaker dynamic(Path path, long virtualSize, int blockSize) throws IOException {
        return new VhdxMaker(path, virtualSize, blockSize, 512, false, Map.of());
    }

    /** A child of an image that {@link #dynamic} made, beside it. */
    static VhdxMaker child(Path path, long virtualSize, int blockSize, int sectorSize, String parent) throws IOException {
        Map<String, String> locator = new LinkedHashMap<>();
        locator.put(LINKAGE, "{11112222-3333-4444-5555-666677778888}");
        locator.put(RELATIVE, ".\\" + parent);
        locator.put("absolute_win32_path", "\\\\?\\C:\\elsewhere\\" + parent);
        return new VhdxMaker(path, virtualSize, blockSize, sectorSize, false, locator);
    }

    static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    static byte[] guid(UUID guid) {
        ByteBuffer b = buffer(16);
        long top = guid.getMostSignificantBits();
        b.putInt((int) (top >>> 32)).putShort((short) (top >>> 16)).putShort((short) top);
        b.order(ByteOrder.BIG_ENDIAN).putLong(guid.getLeastSignificantBits());
        return b.array();
    }

    static byte[] guid(String text) {
        return guid(UUID.fromString(text));
    }

    static void seal(ByteBuffer structure) {
        structure.putInt(4, 0);
        CRC32C crc = new CRC32C();
        crc.update(structure.array());
        structure.putInt(4, (int) crc.getValue());
    }

    int chunkRatio() {
        return (int) ((1L << 23) * sectorSize / blockSize);
    }

    void put(long offset, byte[] bytes) throws IOException {
        file.seek(offset);
        file.write(bytes);
    }

    byte[] get(long offset, int length) throws IOException {
        byte[] bytes = new byte[length];
        file.seek(offset);
        file.readFully(bytes);
        return bytes;
    }

    /** Writes both headers, the second one newer. */
    void headers() throws IOException {
        header(64 << 10, sequence);
        header(128 << 10, sequence + 1);
    }

    void header(long offset, long number) throws IOException {
        ByteBuffer h = buffer(4096);
        h.put(0, "head".getBytes(StandardCharsets.US_ASCII)).putLong(8, number);
        h.put(16, guid(fileWrite)).put(32, guid(dataWrite)).put(48, guid(log));
        h.putShort(64, (short) 0).putShort(66, (short) 1).putInt(68, logLength).putLong(72, LOG);
        h.put(4000, "kept".getBytes(StandardCharsets.US_ASCII));
        seal(h);
        put(offset, h.array());
    }

    /** Names the log's entries in both headers. */
    VhdxMaker log(UUID guid) throws IOException {
        log = guid;
        headers();
        return this;
    }

    VhdxMaker dataWrite(UUID guid) throws IOException {
        dataWrite = guid;
        headers();
        return this;
    }

    private void regions() throws IOException {
        regions(List.of(region("2dc27766-f623-4200-9d64-115e9bfd4a08", BAT, batLength, 1),
                region("8b7ca206-4790-4b9a-b8fe-575f050f886e", METADATA, MIB, 1)));
    }

    static byte[] region(String guid, long offset, int length, int required) {
        return buffer(32).put(guid(guid)).putLong(offset).putInt(length).putInt(required).array();
    }

    int batLength() {
        return batLength;
    }

    void regions(List<byte[]> entries) throws IOException {
        ByteBuffer table = buffer(64 << 10);
        table.put(0, "regi".getBytes(StandardCharsets.US_ASCII)).putInt(8, entries.size());
        for (int i = 0; i < entries.size(); i++) {
            table.put(16 + 32 * i, entries.get(i));
        }
        seal(table);
        put(192 << 10, table.array());
        put(256 << 10, table.array());
    }

    private void metadata(long virtualSize, int flags, Map<String, String> parent) throws IOException {
        List<byte[]> entries = new ArrayList<>();
        int at = 64 << 10;
        at = item(entries, "caa16737-fa36-4d43-b3b6-33f0aa44e76b", at, 4, buffer(8).putInt(blockSize).putInt(flags).array());
        at = item(entries, "2fa54224-cd1b-4876-b211-5dbed83bf4b8", at, 6, buffer(8).putLong(virtualSize).array());
        at = item(entries, "beca12ab-b2e6-4523-93ef-c309e000c746", at, 6, guid(new UUID(9, 9)));
        at = item(entries, "8141bf1d-a96f-4709-ba47-f233a8faab5f", at, 6, buffer(4).putInt(sectorSize).array());
        at = item(entries, "cda348c7-445d-4471-9cc9-e9885251c556", at, 6, buffer(4).putInt(4096).array());
        at = item(entries, "01234567-89ab-cdef-0123-456789abcdef", at, 0, "an unknown item".getBytes(StandardCharsets.US_ASCII));
        if (!parent.isEmpty()) {
            item(entries, "a8d35f2d-b30b-454d-abf7-d3d84834ab0c", at, 4, locator(parent));
        }
        metadataTable(entries);
    }

    private int item(List<byte[]> entries, String guid, int at, int flags, byte[] content) throws IOException {
        entries.add(buffer(32).put(guid(guid)).putInt(at).putInt(content.length).putInt(flags).array());
        put(METADATA + at, content);
        return at + content.length;
    }

    void metadataTable(List<byte[]> entries) throws IOException {
        ByteBuffer table = buffer(64 << 10);
        table.put(0, "metadata".getBytes(StandardCharsets.US_ASCII)).putShort(10, (short) entries.size());
        for (int i = 0; i < entries.size(); i++) {
            table.put(32 + 32 * i, entries.get(i));
        }
        put(METADATA, table.array());
    }

    static byte[] locator(Map<String, String> values) {
        ByteBuffer b = buffer(4096);
        b.put(0, guid("b04aefb7-d19e-4a81-b789-25b8e9445913")).putShort(18, (short) values.size());
        int entry = 20;
        int text = 20 + 12 * values.size();
        for (Map.Entry<String, String> value : values.entrySet()) {
            byte[] k = value.getKey().getBytes(StandardCharsets.UTF_16LE);
            byte[] v = value.getValue().getBytes(StandardCharsets.UTF_16LE);
            b.putInt(entry, text).putInt(entry + 4, text + k.length);
            b.putShort(entry + 8, (short) k.length).putShort(entry + 10, (short) v.length);
            b.put(text, k).put(text + k.length, v);
            entry += 12;
            text += k.length + v.length;
        }
        byte[] bytes = new byte[text];
        b.get(0, bytes);
        return bytes;
    }

    static long payloadEntry(int block, int chunkRatio) {
        return BAT + 8L * (block + block / chunkRatio);
    }

    /** Sets a payload block's entry. */
    VhdxMaker entry(int block, long value) throws IOException {
        put(payloadEntry(block, chunkRatio()), buffer(8).putLong(value).array());
        return this;
    }

    /** Gives a block a place at the file's end, filled with one byte. @return the place */
    long store(int block, int state, int fill) throws IOException {
        long place = end;
        byte[] content = new byte[MIB];
        java.util.Arrays.fill(content, (byte) fill);
        for (int i = 0; i < blockSize; i += MIB) {
            put(place + i, content);
        }
        end += blockSize;
        entry(block, place | state);
        return place;
    }

    /** Gives a chunk its sector bitmap, all sectors the parent's. @return the place */
    long bitmap(int chunk) throws IOException {
        long place = end;
        end += MIB;
        file.setLength(end);
        put(BAT + 8L * ((long) chunk * (chunkRatio() + 1) + chunkRatio()), buffer(8).putLong(place | FULL).array());
        return place;
    }

    /** Marks sectors of a chunk as stored here. */
    void present(long bitmap, int firstSector, int sectors) throws IOException {
        for (int s = firstSector; s < firstSector + sectors; s++) {
            byte[] old = get(bitmap + s / 8, 1);
            old[0] |= (byte) (1 << s % 8);
            put(bitmap + s / 8, old);
        }
    }

    /** @return an entry, sealed; flushed and last file offset are the file's length */
    byte[] logEntry(UUID guid, long number, long tail, Change... changes) throws IOException {
        return logEntry(guid, number, tail, file.length(), file.length(), changes);
    }

    static byte[] logEntry(UUID guid, long number, long tail, long flushed, long last, Change... changes) {
        int data = 0;
        for (Change change : changes) {
            data += change.data() == null ? 0 : 1;
        }
        int head = (64 + 32 * changes.length + 4095) / 4096 * 4096;
        ByteBuffer b = buffer(head + 4096 * data);
        b.put(0, "loge".getBytes(StandardCharsets.US_ASCII)).putInt(8, b.capacity()).putInt(12, (int) tail).putLong(16, number);
        b.putInt(24, changes.length).put(32, guid(guid)).putLong(48, flushed).putLong(56, last);
        int sector = head;
        for (int i = 0; i < changes.length; i++) {
            int at = 64 + 32 * i;
            b.putLong(at + 16, changes[i].offset()).putLong(at + 24, number);
            if (changes[i].data() == null) {
                b.put(at, "zero".getBytes(StandardCharsets.US_ASCII)).putLong(at + 8, changes[i].zeros());
            } else {
                b.put(at, "desc".getBytes(StandardCharsets.US_ASCII));
                b.put(at + 4, changes[i].data(), 4092, 4).put(at + 8, changes[i].data(), 0, 8);
                b.put(sector, changes[i].data());
                b.put(sector, "data".getBytes(StandardCharsets.US_ASCII)).putInt(sector + 4, (int) (number >>> 32));
                b.putInt(sector + 4092, (int) number);
                sector += 4096;
            }
        }
        seal(b);
        return b.array();
    }

    /** Writes an entry into the ring. @return the place behind it */
    long putLog(long at, byte[] entry) throws IOException {
        long position = at;
        for (int i = 0; i < entry.length; i += 4096) {
            put(LOG + position, java.util.Arrays.copyOfRange(entry, i, i + 4096));
            position = (position + 4096) % logLength;
        }
        return position;
    }

    long end() {
        return end;
    }

    void setLength(long length) throws IOException {
        file.setLength(length);
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
