package io.lacuna.diskimage.block;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.util.Arrays;
import java.util.List;

/** Where free guest bytes are stored: pieces in rising guest order, 24 bytes of memory each. */
final class GuestPieces {

    /** The file's index stands in the upper bits of the host offset's word; offsets of files are below 2^{@value}. */
    private static final int FILE_SHIFT = 48;
    private static final long OFFSET_MASK = (1L << FILE_SHIFT) - 1;

    /** More files than an image of any format has (a VMDK of 2 GB files: some 32,000 for 64 TiB). */
    private static final int MAX_FILES = 1 << Long.SIZE - 1 - FILE_SHIFT;

    private long[] guests = new long[64];
    private long[] hosts = new long[64];
    private long[] lengths = new long[64];
    private int count;

    /**
     * Adds a piece behind all others; one that continues the last becomes part of it.
     *
     * @throws CorruptException if the last one lies there: a map of nothing but zeros, which costs the host no storage, would
     *     make as many pieces as it has entries, only for {@link SingleUse} to refuse them
     */
    void add(long guest, int file, long host, long length) throws CorruptException, UnsupportedException {
        if (host > OFFSET_MASK || file >= MAX_FILES) {
            throw new UnsupportedException("the image's files are too many or too large: byte " + host + " of file " + file);
        }
        long place = (long) file << FILE_SHIFT | host;
        if (count > 0 && guests[count - 1] + lengths[count - 1] == guest && hosts[count - 1] + lengths[count - 1] == place) {
            lengths[count - 1] += length;
            return;
        }
        if (count > 0 && place < hosts[count - 1] + lengths[count - 1] && hosts[count - 1] < place + length) {
            throw new CorruptException("table of blocks", host, "every place of the file used once",
                    "one used for the free bytes " + guests[count - 1] + " and " + guest + " of the disk");
        }
        if (count == guests.length) {
            int larger = Math.addExact(count, count / 2);
            guests = Arrays.copyOf(guests, larger);
            hosts = Arrays.copyOf(hosts, larger);
            lengths = Arrays.copyOf(lengths, larger);
        }
        guests[count] = guest;
        hosts[count] = place;
        lengths[count++] = length;
    }

    /** @return the guest bytes of all pieces */
    ExtentSet guestBytes() {
        ExtentSet.Builder all = ExtentSet.builder();
        for (int i = 0; i < count; i++) {
            all.add(guests[i], lengths[i]);
        }
        return all.build();
    }

    /** @return the bytes of each file in which pieces lie */
    List<ExtentSet> hostBytes(int files) {
        ExtentSet.Builder[] all = new ExtentSet.Builder[files];
        for (int i = 0; i < count; i++) {
            int file = (int) (hosts[i] >>> FILE_SHIFT);
            if (all[file] == null) {
                all[file] = ExtentSet.builder();
            }
            all[file].add(hosts[i] & OFFSET_MASK, lengths[i]);
        }
        return Arrays.stream(all).map(one -> one == null ? ExtentSet.EMPTY : one.build()).toList();
    }

    /**
     * @param chosen bytes of each file
     * @return the guest bytes of the pieces that lie in them
     */
    ExtentSet guestBytesIn(List<ExtentSet> chosen) {
        ExtentSet.Builder found = ExtentSet.builder();
        for (int i = 0; i < count; i++) {
            ExtentSet inFile = chosen.get((int) (hosts[i] >>> FILE_SHIFT));
            long host = hosts[i] & OFFSET_MASK;
            if (inFile.contains(host, lengths[i])) {
                found.add(guests[i], lengths[i]);
            } else if (inFile.intersects(host, lengths[i])) {
                for (Extent part : inFile.intersect(new Extent(host, lengths[i]))) {
                    found.add(guests[i] + part.offset() - host, part.length());
                }
            }
        }
        return found.build();
    }

    /** @return the bytes of one file in which pieces of this guest range lie */
    ExtentSet hostBytesOf(long guestOffset, long guestLength, int file) {
        int at = Arrays.binarySearch(guests, 0, count, guestOffset);
        int first = at >= 0 ? at : -at - 1;
        if (first > 0 && guests[first - 1] + lengths[first - 1] > guestOffset) {
            first--;
        }
        ExtentSet.Builder found = ExtentSet.builder();
        long end = guestOffset + guestLength;
        for (int i = first; i < count && guests[i] < end; i++) {
            long from = Math.max(guests[i], guestOffset);
            long to = Math.min(guests[i] + lengths[i], end);
            if (hosts[i] >>> FILE_SHIFT == file) {
                found.add((hosts[i] & OFFSET_MASK) + from - guests[i], to - from);
            }
        }
        return found.build();
    }
}
