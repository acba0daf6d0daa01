package io.lacuna.diskimage.undo;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Reads what a file holds in ranges, piece by piece. */
final class StoredData {

    private static final int PAGE = 4096;
    private static final byte[] ZEROS = new byte[UndoLayout.CHUNK];

    private StoredData() {
    }

    /** Takes a piece. */
    @FunctionalInterface
    interface Visitor {

        /** @return whether to go on */
        boolean piece(long offset, byte[] bytes, int length) throws IOException;
    }

    static void read(HostFile file, ExtentSet ranges, Visitor visitor) throws IOException {
        byte[] bytes = new byte[UndoLayout.CHUNK];
        for (Extent range : ranges.intersect(ExtentSet.ofRange(0, file.size()))) {
            for (long at = range.offset(); at < range.end(); at += UndoLayout.CHUNK) {
                int length = (int) Math.min(UndoLayout.CHUNK, range.end() - at);
                file.read(at, ByteBuffer.wrap(bytes, 0, length));
                if (!visitor.piece(at, bytes, length)) {
                    return;
                }
            }
        }
    }

    /**
     * Counts bytes of pages that are not zeros.
     *
     * @param enough count after which nothing more need be read
     */
    static long count(HostFile file, ExtentSet ranges, long enough) throws IOException {
        long[] sum = new long[1];
        read(file, file.map().allocated().intersect(ranges), (offset, bytes, length) -> {
            for (int at = 0; at < length; at += PAGE) {
                int end = Math.min(length, at + PAGE);
                sum[0] += isZero(bytes, at, end) ? 0 : end - at;
            }
            return sum[0] <= enough;
        });
        return sum[0];
    }

    static Checksums checksums(HostFile file, ExtentSet ranges) throws IOException {
        Checksums checksums = new Checksums();
        read(file, ranges, (offset, bytes, length) -> {
            checksums.add(offset, ByteBuffer.wrap(bytes, 0, length));
            return true;
        });
        return checksums;
    }

    /** @param to at most {@link UndoLayout#CHUNK} behind {@code from} */
    static boolean isZero(byte[] bytes, int from, int to) {
        return Arrays.equals(bytes, from, to, ZEROS, 0, to - from);
    }
}
