package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.ExtentSet;
import java.util.Arrays;

/** Free guest ranges with host storage of their own, one behind the other in the file. */
final class Pieces {

    private long[] guest = new long[64];
    private long[] host = new long[64];
    private long[] length = new long[64];
    private long[] entry = new long[64];
    private int size;

    /**
     * @param guestByte first byte on the disk
     * @param hostByte first byte in the file
     * @param bytes length; of whole clusters even where the disk ends inside the last
     * @param l2Entry L2 entry of the first cluster if these are whole clusters that can be unmapped; 0 to punch only
     */
    void add(long guestByte, long hostByte, long bytes, long l2Entry) {
        if (size == guest.length) {
            int larger = Math.multiplyExact(size, 2);
            guest = Arrays.copyOf(guest, larger);
            host = Arrays.copyOf(host, larger);
            length = Arrays.copyOf(length, larger);
            entry = Arrays.copyOf(entry, larger);
        }
        guest[size] = guestByte;
        host[size] = hostByte;
        length[size] = bytes;
        entry[size] = l2Entry;
        size++;
    }

    int size() {
        return size;
    }

    long guest(int piece) {
        return guest[piece];
    }

    long host(int piece) {
        return host[piece];
    }

    long length(int piece) {
        return length[piece];
    }

    long entry(int piece) {
        return entry[piece];
    }

    /** @return bytes of the file in clusters that stay mapped */
    ExtentSet parts() {
        ExtentSet.Builder parts = ExtentSet.builder();
        for (int i = 0; i < size; i++) {
            if (!isWhole(i)) {
                parts.add(host[i], length[i]);
            }
        }
        return parts.build();
    }

    boolean isWhole(int piece) {
        return entry[piece] != 0;
    }
}
