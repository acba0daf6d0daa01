package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * An internal snapshot: an entry of the snapshot table, 40 bytes and more, big-endian, padded to 8. Source: QEMU
 * {@code docs/interop/qcow2}, "Snapshots".
 *
 * @param name for messages: at most 60 bytes of it, control characters replaced
 * @param l1Offset byte of its L1 table
 * @param l1Entries entries of its L1 table
 */
record Snapshot(String name, long l1Offset, int l1Entries) {

    private static final int SIZE = 40;
    /** QEMU's limit. */
    private static final int MAX_EXTRA = 1024;
    /** QEMU's limit: 64 MiB for the whole table. */
    private static final long MAX_TABLE = 64L << 20;
    /** Ours: a thousand snapshots of a disk of 64 TiB. Bounds the time that hostile L1 tables in holes of the file can take. */
    private static final long MAX_L1_ENTRIES_OF_ALL = 1L << 27;
    private static final int SHOWN_NAME = 60;

    /**
     * All internal snapshots.
     *
     * @param snapshots in the table's order
     * @param length bytes of the snapshot table
     */
    record Table(List<Snapshot> snapshots, long length) {
    }

    static Table parseAll(BlockSource file, Qcow2Header header) throws IOException {
        List<Snapshot> snapshots = new ArrayList<>();
        long position = header.snapshotsOffset();
        long l1Entries = 0;
        for (int i = 0; i < header.snapshotCount(); i++) {
            Bytes b = Bytes.read(file, "snapshot table entry " + i, position, SIZE, ByteOrder.BIG_ENDIAN);
            long l1Offset = b.u64(0);
            long entries = b.u32(8);
            if (entries > Qcow2Header.MAX_L1_ENTRIES) {
                throw b.unsupported("snapshot " + i + ": L1 entries", 8, "at most " + Qcow2Header.MAX_L1_ENTRIES, entries);
            }
            if (entries > 0 && (l1Offset == 0 || (l1Offset & header.clusterSize() - 1) != 0
                    || !header.insideFile(l1Offset, entries * Long.BYTES, file.size()))) {
                throw b.corrupt("snapshot " + i + ": L1 table", 0, "whole clusters inside the file",
                        entries + " entries at 0x" + Long.toHexString(l1Offset));
            }
            l1Entries += entries;
            if (l1Entries > MAX_L1_ENTRIES_OF_ALL) {
                throw b.unsupported("snapshots: L1 entries of all", 8, "at most " + MAX_L1_ENTRIES_OF_ALL, l1Entries);
            }
            int idLength = b.u16(12);
            int nameLength = b.u16(14);
            long extra = b.u32(36);
            if (extra > MAX_EXTRA) {
                throw b.unsupported("snapshot " + i + ": extra data", 36, "at most " + MAX_EXTRA + " bytes", extra);
            }
            snapshots.add(new Snapshot(name(file, position + SIZE + extra + idLength, nameLength), l1Offset, (int) entries));
            position += SIZE + extra + idLength + nameLength + 7 & -8L;
            if (position - header.snapshotsOffset() > MAX_TABLE) {
                throw b.unsupported("snapshot table", 0, "at most " + MAX_TABLE + " bytes", "more");
            }
        }
        return new Table(List.copyOf(snapshots), position - header.snapshotsOffset());
    }

    private static String name(BlockSource file, long position, int length) throws IOException {
        int shown = Math.min(length, SHOWN_NAME);
        byte[] bytes = Bytes.read(file, "snapshot name", position, shown, ByteOrder.BIG_ENDIAN).copy(0, shown);
        return new String(bytes, StandardCharsets.UTF_8).replaceAll("\\p{Cntrl}", "?") + (shown < length ? "…" : "");
    }
}
