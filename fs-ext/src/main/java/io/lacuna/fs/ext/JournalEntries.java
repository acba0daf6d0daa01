package io.lacuna.fs.ext;

import io.lacuna.blockio.UnsupportedException;
import java.util.Arrays;

/**
 * Blocks of the file system that the journal names, in the order in which it names them, with two numbers each. Memory: 16
 * bytes an entry, bounded by the journal's length and by {@link #LIMIT}.
 */
final class JournalEntries {

    private static final int INDEX_BITS = 20;
    /** Ours: four times the blocks of the largest journal that mke2fs makes unasked. */
    static final int LIMIT = 1 << INDEX_BITS;

    /** Block above, place in the order below, so that sorting keeps the order among the entries of one block. */
    private long[] keys = new long[256];
    private int[] values = new int[256];
    private int[] transactions = new int[256];
    private int count;

    /**
     * @param block below 2^42, as every block that a {@link Superblock} lets pass
     * @param value what belongs to it
     * @param transaction the number of the transaction that names it
     */
    void add(long block, int value, int transaction) throws UnsupportedException {
        if (count == LIMIT) {
            throw new UnsupportedException("the file system's journal names more than " + LIMIT + " blocks that are still to be "
                    + "replayed, more than can be held: start the guest and shut it down cleanly");
        }
        if (count == keys.length) {
            keys = Arrays.copyOf(keys, 2 * count);
            values = Arrays.copyOf(values, 2 * count);
            transactions = Arrays.copyOf(transactions, 2 * count);
        }
        keys[count] = block << INDEX_BITS | count;
        values[count] = value;
        transactions[count++] = transaction;
    }

    /** Adds the entries of another list behind these. The other one has not been sorted. */
    void addAll(JournalEntries others) throws UnsupportedException {
        for (int i = 0; i < others.count; i++) {
            add(others.block(i), others.values[i], others.transactions[i]);
        }
    }

    void clear() {
        count = 0;
    }

    /** @return the number of entries */
    int count() {
        return count;
    }

    /** Puts the entries in the order of their blocks, and those of one block in that in which they came. Nothing is added after. */
    void sort() {
        Arrays.sort(keys, 0, count);
    }

    /** @return whether no later entry names the same block; only after {@link #sort} */
    boolean isLast(int i) {
        return i + 1 == count || block(i + 1) != block(i);
    }

    long block(int i) {
        return keys[i] >>> INDEX_BITS;
    }

    int value(int i) {
        return values[(int) keys[i] & LIMIT - 1];
    }

    int transaction(int i) {
        return transactions[(int) keys[i] & LIMIT - 1];
    }

    /** @return the last entry of a block, or a negative number; only after {@link #sort} */
    int findLast(long block) {
        int at = firstFrom(block + 1) - 1;
        return at >= 0 && block(at) == block ? at : -1;
    }

    /** @return the first entry of a block or of one behind it, {@link #count} if there is none; only after {@link #sort} */
    int firstFrom(long block) {
        int at = Arrays.binarySearch(keys, 0, count, block << INDEX_BITS);
        return at < 0 ? -1 - at : at;
    }
}
