package io.lacuna.fs.ext;

/**
 * Bounds the work for the blocks that map files. Each belongs to one file and is read once, so that there cannot be more of them
 * than blocks; and a forged file system in which many files share a map would cost its product. A sample of those read is
 * kept, with a fixed size: a second look at many of them soon meets one.
 */
final class SeenBlocks {

    private static final int SLOTS = 1 << 15;
    /** Golden ratio: spreads neighbours. */
    private static final long SPREAD = 0x9E37_79B9_7F4A_7C15L;

    private final long most;
    private long[] sample;
    private long count;
    private long random = 1;

    /** @param most how many blocks there can be at all */
    SeenBlocks(long most) {
        this.most = most;
    }

    /** @return false if the block was seen before, as far as that is known; or if there were too many */
    boolean isNew(long block) {
        if (sample == null) {
            sample = new long[SLOTS];
        }
        int slot = (int) (block * SPREAD >>> 49);
        if (sample[slot] == block || ++count > most) {
            return false;
        }
        random = random * SPREAD + 1;
        // One in eight: what was kept survives for a while, however many come after it.
        if (sample[slot] == 0 || random >>> 61 == 0) {
            sample[slot] = block;
        }
        return true;
    }
}
