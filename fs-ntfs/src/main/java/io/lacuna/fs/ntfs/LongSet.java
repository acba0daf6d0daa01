package io.lacuna.fs.ntfs;

/** A set of numbers, at 8 to 32 bytes each: places of blocks, of which there may be millions. */
final class LongSet {

    /** Golden ratio: spreads neighbours. */
    private static final long SPREAD = 0x9E37_79B9_7F4A_7C15L;

    /** Each number plus one, so that 0 is an empty slot; at most half of them are taken. */
    private long[] slots = new long[1 << 8];
    private int size;

    int size() {
        return size;
    }

    /**
     * @param number from 0 on
     * @return false if it was there already
     */
    boolean add(long number) {
        int slot = slotOf(number + 1);
        if (slots[slot] != 0) {
            return false;
        }
        slots[slot] = number + 1;
        if (++size * 2 > slots.length) {
            grow();
        }
        return true;
    }

    private int slotOf(long stored) {
        int mask = slots.length - 1;
        int slot = (int) (stored * SPREAD >>> 32) & mask;
        while (slots[slot] != 0 && slots[slot] != stored) {
            slot = slot + 1 & mask;
        }
        return slot;
    }

    private void grow() {
        long[] old = slots;
        slots = new long[2 * old.length];
        for (long stored : old) {
            if (stored != 0) {
                slots[slotOf(stored)] = stored;
            }
        }
    }
}
