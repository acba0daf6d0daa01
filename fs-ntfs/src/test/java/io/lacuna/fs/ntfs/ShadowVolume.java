package io.lacuna.fs.ntfs;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HexFormat;
import java.util.List;

/**
 * A volume of 16 MiB with two shadow copies: does to three states of a real NTFS what Windows would have done on the way from one
 * to the next. Knows the format on its own, so that a misreading of the parser's is not shared.
 */
final class ShadowVolume {

    static final byte[] IDENTIFIER = HexFormat.of().parseHex("6b87083876c1484eb7ae04046e6cc752");
    static final int BLOCK = 16384;
    static final int HEADER = 0x1E00;
    private static final int SIZE = 16 << 20;
    private static final int CLUSTER = 4096;

    private static ShadowVolume sound;

    /** The volume on the days of the shadow copies, the oldest first. */
    final List<byte[]> past;
    /** The volume now. */
    final byte[] bytes;
    final ByteBuffer volume;
    /** Where the catalog's block is, and for each shadow copy its header, its list, its bitmap and its previous bitmap. */
    final int catalog;
    final int[][] records;

    private ShadowVolume(List<byte[]> past, byte[] bytes, int catalog, int[][] records) {
        this.past = past;
        this.bytes = bytes.clone();
        this.volume = ByteBuffer.wrap(this.bytes).order(ByteOrder.LITTLE_ENDIAN);
        this.catalog = catalog;
        this.records = records;
    }

    /** A copy of its own for every caller. */
    static synchronized ShadowVolume sound() throws IOException {
        if (sound == null) {
            sound = make();
        }
        return new ShadowVolume(sound.past, sound.bytes, sound.catalog, sound.records);
    }

    private static ShadowVolume make() throws IOException {
        Path directory = Files.createTempDirectory("lacuna-vss");
        Path image = NtfsVolumes.make(directory, SIZE, "-s 512 -c 4096 -L Shadows");
        List<byte[]> states = new ArrayList<>();
        // Room for the records, to be found again by what stands in it; files; and what becomes of them.
        for (String script : List.of("""
                mkdir "System Volume Information"
                for s in 0 1 2; do
                    for i in $(seq $((20 + s * 250))); do printf '%-4096s' "STORE$s"; done > "System Volume Information/store$s"
                done
                for i in $(seq 60); do head -c $((i * 3000)) /dev/urandom > "file $i"; done
                """, """
                for i in $(seq 5 20); do rm "file $i"; done
                for i in $(seq 21 25); do head -c 40000 /dev/urandom | dd of="file $i" conv=notrunc status=none; done
                head -c 700000 /dev/urandom > "a new file"
                """, """
                for i in $(seq 30 45) 60; do rm "file $i"; done
                rm "a new file"
                for i in $(seq 50 53); do head -c 40000 /dev/urandom | dd of="file $i" conv=notrunc status=none; done
                """)) {
            NtfsVolumes.write(image, script);
            states.add(Files.readAllBytes(image));
        }
        Files.delete(image);
        Files.delete(directory);
        List<Deque<Integer>> room = new ArrayList<>();
        for (int store = 0; store < 3; store++) {
            room.add(room(states.get(2), store));
        }
        ShadowVolume made = new ShadowVolume(states.subList(0, 2), states.get(2), room.get(0).pop(), new int[2][4]);
        made.header();
        made.record(made.catalog, 2, 0, 0);
        boolean[] needed = new boolean[SIZE / BLOCK];
        for (int copy = 0; copy < 2; copy++) {
            made.takeShadowCopy(copy, states.get(copy), states.get(copy + 1), room.get(copy + 1), needed);
        }
        return made;
    }

    /** @return the aligned blocks that lie wholly in the file that was filled with this mark */
    private static Deque<Integer> room(byte[] state, int store) {
        byte[] mark = ("STORE" + store).getBytes(StandardCharsets.US_ASCII);
        Deque<Integer> room = new ArrayDeque<>();
        for (int block = 0; block < SIZE; block += BLOCK) {
            boolean whole = true;
            for (int at = block; at < block + BLOCK; at += CLUSTER) {
                whole &= Arrays.equals(state, at, at + mark.length, mark, 0, mark.length);
            }
            if (whole) {
                room.add(block);
            }
        }
        return room;
    }

    private void header() {
        volume.put(HEADER, IDENTIFIER).putInt(HEADER + 0x10, 2).putInt(HEADER + 0x14, 1).putLong(HEADER + 0x18, HEADER);
        volume.putLong(HEADER + 0x20, HEADER).putLong(HEADER + 0x30, catalog);
        for (int i = 0; i < 16; i++) {
            bytes[HEADER + 0x40 + i] = (byte) (i + 1);
            bytes[HEADER + 0x50 + i] = (byte) (i + 1);
        }
    }

    /** Clears a block and writes a record's header into it. */
    void record(int at, int type, long relative, long next) {
        Arrays.fill(bytes, at, at + BLOCK, (byte) 0);
        volume.put(at, IDENTIFIER).putInt(at + 0x10, 1).putInt(at + 0x14, type).putLong(at + 0x18, relative);
        volume.putLong(at + 0x20, at).putLong(at + 0x28, next);
    }

    /** @param needed blocks that older shadow copies still read from the volume */
    private void takeShadowCopy(int copy, byte[] then, byte[] after, Deque<Integer> room, boolean[] needed) {
        int[] own = records[copy];
        for (int i = 0; i < own.length; i++) {
            own[i] = room.pop();
        }
        record(own[0], 4, 0, 0);
        volume.putLong(own[0] + 0x30, 128).putInt(own[0] + 128 + 0x38, 0x2001D);
        record(own[1], 3, BLOCK, 0);
        record(own[2], 6, 2 * BLOCK, 0);
        record(own[3], 6, 3 * BLOCK, 0);
        int descriptor = own[1] + 128;
        int relative = 4 * BLOCK;
        for (int block = 0; block < needed.length; block++) {
            boolean used = !isUnused(then, block * BLOCK) && !isRoom(then, block * BLOCK);
            set(own[2], block, !used);
            set(own[3], block, !needed[block]);
            needed[block] |= used;
            boolean changed = !Arrays.equals(then, block * BLOCK, (block + 1) * BLOCK, after, block * BLOCK, (block + 1) * BLOCK);
            if (changed && needed[block]) {
                int place = room.pop();
                System.arraycopy(then, block * BLOCK, bytes, place, BLOCK);
                volume.putLong(descriptor, (long) block * BLOCK).putLong(descriptor + 8, relative).putLong(descriptor + 16, place);
                descriptor += 32;
                relative += BLOCK;
                needed[block] = false;
            }
        }
        int entry = catalog + 128 + copy * 256;
        volume.putLong(entry, 2).putLong(entry + 8, SIZE).put(entry + 16, id(copy)).putLong(entry + 32, copy + 1);
        volume.putLong(entry + 40, 0x40).putLong(entry + 48, 132_000_000_000_000_000L + copy * 10_000_000_000L);
        volume.putLong(entry + 128, 3).putLong(entry + 136, own[1]).put(entry + 144, id(copy)).putLong(entry + 160, own[0]);
        volume.putLong(entry + 168, own[0]).putLong(entry + 176, own[2]).putLong(entry + 200, copy == 0 ? 0 : own[3]);
        // The ranges of the store: nothing to read here for us, but the other reader wants a record.
        int ranges = room.pop();
        record(ranges, 5, relative, 0);
        volume.putLong(entry + 168, ranges);
    }

    static byte[] id(int copy) {
        byte[] id = new byte[16];
        Arrays.fill(id, (byte) (0xA0 + copy));
        return id;
    }

    private void set(int bitmap, int block, boolean unused) {
        int at = bitmap + 128 + block / 8;
        bytes[at] = (byte) (unused ? bytes[at] | 1 << block % 8 : bytes[at] & ~(1 << block % 8));
    }

    /** Sets a bit of a shadow copy's bitmap. @param block a place on the volume */
    void markUnused(int copy, int block, boolean unused) {
        set(records[copy][2], block / BLOCK, unused);
    }

    private static boolean isRoom(byte[] state, int block) {
        for (int at = block; at < block + BLOCK; at += CLUSTER) {
            if (!new String(state, at, 5, StandardCharsets.ISO_8859_1).equals("STORE")) {
                return false;
            }
        }
        return true;
    }

    /** @return whether $Bitmap of that day calls all clusters of a block free; what is behind the last cluster is not free */
    static boolean isUnused(byte[] state, int block) {
        return free(state).contains(block, BLOCK);
    }

    private static byte[] lastState;
    private static ExtentSet lastFree;

    /** @return what $Bitmap of that day calls free */
    static synchronized ExtentSet free(byte[] state) {
        if (lastState != state) {
            NtfsEditor editor = new NtfsEditor(state);
            int at = editor.firstRun(6, NtfsEditor.DATA);
            byte[] bitmap = Arrays.copyOfRange(state, at, at + (editor.clusterCount() + 7) / 8);
            lastFree = NtfsVolumes.freeIn(bitmap, CLUSTER, editor.clusterCount());
            lastState = state;
        }
        return lastFree;
    }

    /** @return whole blocks that are free now and hold nothing on the days of the shadow copies */
    ExtentSet expected() {
        ExtentSet.Builder expected = ExtentSet.builder();
        for (int block = 0; block < SIZE; block += BLOCK) {
            if (isUnused(bytes, block)) {
                expected.add(block, BLOCK);
            }
        }
        ExtentSet rest = expected.build();
        for (byte[] state : past) {
            rest = rest.intersect(free(state));
        }
        return rest.inwardTo(BLOCK);
    }

    /** Adds a descriptor to a shadow copy's list, behind the others. @return where it is */
    int descriptor(int copy, long original, long relative, long place, int flags, int allocation) {
        int at = records[copy][1] + 128;
        while (volume.getLong(at + 8) != 0) {
            at += 32;
        }
        volume.putLong(at, original).putLong(at + 8, relative).putLong(at + 16, place).putInt(at + 24, flags);
        volume.putInt(at + 28, allocation);
        return at;
    }

    FreeSpace freeSpace() throws IOException {
        return new NtfsProbe().open(new ByteArraySource(bytes)).freeSpace();
    }

    NtfsEditor editor() {
        return new NtfsEditor(bytes);
    }
}
