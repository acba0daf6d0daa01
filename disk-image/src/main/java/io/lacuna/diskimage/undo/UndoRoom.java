package io.lacuna.diskimage.undo;

import io.lacuna.blockio.Deallocation.HostRanges;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** How much room an undo file may take, told before it is begun. */
final class UndoRoom {

    /** Bytes that an undo file may need beside the data: records, checksums, small tables. Ours. */
    private static final long ALLOWANCE = 1 << 20;
    /**
     * Bytes of the disk for one of its image's tables, packed: these are kept only when they change, which must not be the time
     * to find the disk full. QEMU's usual qcow2 spends a byte on 8 KiB, VMDK on 8 KiB in each of two copies; they pack well.
     */
    private static final int DISK_BYTES_PER_TABLE_BYTE = 8192;

    /** Bytes of moved blocks for one of tables, packed: these are kept anew each time that some blocks have moved. Ours. */
    private static final int MOVED_BYTES_PER_TABLE_BYTE = 128;

    private UndoRoom() {
    }

    /** @return bytes to keep free for what is kept behind the first change */
    static long reserve(RunFacts facts, boolean tables, List<HostRanges> ranges) {
        long moved = 0;
        for (HostRanges range : ranges) {
            moved += range.replaced().totalBytes();
        }
        return ALLOWANCE + (tables ? facts.virtualSize() / DISK_BYTES_PER_TABLE_BYTE : 0) + moved / MOVED_BYTES_PER_TABLE_BYTE;
    }

    /** @return bytes that the undo file takes at most for what the plan names, as the host's map of the files tells it */
    static long atMost(List<HostRanges> ranges) throws IOException {
        long bytes = ALLOWANCE;
        for (HostRanges range : ranges) {
            bytes += range.file().map().allocated().intersect(lost(range)).totalBytes();
        }
        return bytes;
    }

    private static ExtentSet lost(HostRanges range) {
        return range.released().union(range.replaced());
    }

    /**
     * @param path of the undo file
     * @param ranges the files as the recorder gave them
     * @throws IOException if there is not enough room where the undo file shall be
     */
    static void require(Path path, List<HostRanges> ranges, long reserve) throws IOException {
        Path directory = path.toAbsolutePath().getParent();
        if (directory == null || !Files.isDirectory(directory)) {
            throw new IOException("nothing was changed, for the undo file cannot be written: " + directory + " is no directory");
        }
        long room = Files.getFileStore(directory).getUsableSpace();
        long atMost = reserve + atMost(ranges);
        if (room < atMost) {
            // The map counts zeros that are stored, too; these take no room here.
            atMost = reserve + ALLOWANCE;
            for (HostRanges range : ranges) {
                HostFile file = range.file() instanceof RecordingHostFile recording ? recording.file() : range.file();
                atMost += StoredData.count(file, lost(range), room);
            }
        }
        if (room < atMost) {
            throw new IOException("nothing was changed, for there is not enough room for the undo file: it may take " + atMost
                    + " bytes or more, and " + directory + " has " + room + " left; free some space there, or name a place on "
                    + "another file system");
        }
    }
}
