package io.lacuna.diskimage.vhdx;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/** Checks an image against the specification with nothing of the reader's, for there is no other tool that does. */
final class VhdxCheck {

    private static final int MIB = 1 << 20;

    private final Path path;
    private final List<String> wrong = new ArrayList<>();
    private final Map<Integer, Integer> states = new HashMap<>();
    private final TreeMap<Long, Long> places = new TreeMap<>();
    private byte[] metadata;
    private byte[][] headers;
    private byte[] bat;
    private long length;

    private VhdxCheck(Path path) {
        this.path = path;
    }

    static VhdxCheck of(Path path) throws IOException {
        VhdxCheck check = new VhdxCheck(path);
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
            check.run(file.length(), (at, count) -> {
                byte[] bytes = new byte[count];
                file.seek(at);
                file.readFully(bytes);
                return bytes;
            });
        }
        return check;
    }

    /** @param path for messages */
    static VhdxCheck of(Path path, byte[] content) throws IOException {
        VhdxCheck check = new VhdxCheck(path);
        check.run(content.length, (at, count) -> Arrays.copyOfRange(content, (int) at, (int) at + count));
        return check;
    }

    private interface Source {
        byte[] read(long at, int count) throws IOException;
    }

    /** @return what is wrong; empty if nothing is */
    List<String> wrong() {
        return wrong;
    }

    /** @return how many payload blocks are in this state */
    int count(int state) {
        return states.getOrDefault(state, 0);
    }

    /** @return the metadata region as it is */
    byte[] metadata() {
        return metadata;
    }

    /** @return bytes of the current header */
    byte[] header() {
        return sequence(headers[0]) > sequence(headers[1]) ? headers[0] : headers[1];
    }

    /** @return whether the headers differ in nothing but their number */
    boolean headersAgree() {
        return Arrays.equals(headers[0], 16, 4096, headers[1], 16, 4096);
    }

    boolean hasLog() {
        return !zero(header(), 48, 16);
    }

    /** @return the table's bytes */
    byte[] bat() {
        return bat;
    }

    long length() {
        return length;
    }

    /** @return first byte behind everything */
    long end() {
        return places.isEmpty() ? 0 : places.lastEntry().getValue();
    }

    private static long sequence(byte[] header) {
        return le(header).getLong(8);
    }

    private static ByteBuffer le(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static boolean zero(byte[] bytes, int at, int count) {
        for (int i = at; i < at + count; i++) {
            if (bytes[i] != 0) {
                return false;
            }
        }
        return true;
    }

    private void require(boolean right, String sentence) {
        if (!right) {
            wrong.add(path.getFileName() + ": " + sentence);
        }
    }

    private static boolean sealed(byte[] structure, String signature) {
        byte[] copy = structure.clone();
        Arrays.fill(copy, 4, 8, (byte) 0);
        CRC32C crc = new CRC32C();
        crc.update(copy);
        return new String(structure, 0, 4, java.nio.charset.StandardCharsets.US_ASCII).equals(signature)
                && (int) crc.getValue() == le(structure).getInt(4);
    }

    private void run(long fileLength, Source file) throws IOException {
        length = fileLength;
        headers = new byte[][] {file.read(64 << 10, 4096), file.read(128 << 10, 4096)};
        require(sealed(headers[0], "head") && sealed(headers[1], "head"), "a header's checksum");
        require(sequence(headers[0]) != sequence(headers[1]), "the headers' sequence numbers");
        ByteBuffer header = le(header());
        place(header.getLong(72), header.getInt(68), "log");
        byte[] table = file.read(192 << 10, 64 << 10);
        require(sealed(table, "regi"), "the region table's checksum");
        require(Arrays.equals(table, file.read(256 << 10, 64 << 10)), "the region tables differ");
        long batOffset = 0;
        int batLength = 0;
        long metadataOffset = 0;
        for (int i = 0; i < le(table).getInt(8); i++) {
            long offset = le(table).getLong(16 + 32 * i + 16);
            int size = le(table).getInt(16 + 32 * i + 24);
            place(offset, size, "region " + i);
            if (table[16 + 32 * i] == 0x66) {
                batOffset = offset;
                batLength = size;
            } else if (table[16 + 32 * i] == 6) {
                metadataOffset = offset;
            }
        }
        metadata = file.read(metadataOffset, MIB);
        bat = file.read(batOffset, batLength);
        blocks();
    }

    private void blocks() {
        ByteBuffer items = le(metadata);
        int blockSize = 0;
        boolean parent = false;
        long size = 0;
        int sector = 0;
        for (int i = 0; i < items.getShort(10); i++) {
            int entry = 32 + 32 * i;
            int at = items.getInt(entry + 16);
            switch (items.getInt(entry)) {
                case 0xCAA16737 -> {
                    blockSize = items.getInt(at);
                    parent = (items.getInt(at + 4) & 2) != 0;
                }
                case 0x2FA54224 -> size = items.getLong(at);
                case 0x8141BF1D -> sector = items.getInt(at);
                default -> { }
            }
        }
        int ratio = (int) ((1L << 23) * sector / blockSize);
        long blocks = (size + blockSize - 1) / blockSize;
        ByteBuffer entries = le(bat);
        for (long block = 0; block < blocks; block++) {
            long entry = entries.getLong((int) (8 * (block + block / ratio)));
            int state = (int) entry & 7;
            states.merge(state, 1, Integer::sum);
            require((entry & 0xFFFF8) == 0, "reserved bits of block " + block);
            require(state <= 3 || state == 6 || state == 7 && parent, "state of block " + block);
            require(state != 2 || entry == 2, "a zero block with a place: " + block);
            if (state >= 6) {
                place(entry & -1L << 20, blockSize, "block " + block);
            }
            if (state == 7) {
                long bitmap = entries.getLong((int) (8 * (block / ratio * (ratio + 1) + ratio)));
                require((bitmap & 7) == 6, "no sector bitmap for block " + block);
            }
        }
        for (long chunk = 0; parent && chunk <= (blocks - 1) / ratio; chunk++) {
            long entry = entries.getLong((int) (8 * (chunk * (ratio + 1) + ratio)));
            if ((entry & 7) == 6) {
                place(entry & -1L << 20, MIB, "sector bitmap " + chunk);
            }
        }
    }

    private void place(long start, long size, String what) {
        require(start >= MIB && start % MIB == 0 && start + size <= length, what + " is not in the file");
        Map.Entry<Long, Long> before = places.lowerEntry(start + size);
        require(before == null || before.getValue() <= start, what + " overlaps something");
        places.put(start, start + size);
    }
}
