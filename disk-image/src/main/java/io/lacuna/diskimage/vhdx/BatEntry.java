package io.lacuna.diskimage.vhdx;

/**
 * An entry of the block allocation table, 8 bytes: bits 0 to 2 the state, bits 20 to 63 the place in MiB.
 * Source: [MS-VHDX] 2.5.1.
 */
final class BatEntry {

    /** What a freed block becomes: zeros by definition. The place must be 0, or Hyper-V refuses the image. */
    static final long FREED = 2;

    private static final int RESERVED = 0xF_FFF8;
    private static final long PLACE = -1L << 20;
    private static final int STATE = 7;

    private BatEntry() {
    }

    /** The states of a payload block. */
    enum State {
        /** Never written: the parent's, or zeros (the specification allows anything). */
        NOT_PRESENT,
        /** Anything by the specification; zeros as QEMU reads it. Its place is no claim. */
        UNDEFINED,
        ZERO,
        /** Trimmed; zeros or its old content by the specification, zeros as QEMU reads it. Its place is no claim. */
        UNMAPPED,
        FULLY_PRESENT,
        /** Only in differencing disks: the sector bitmap tells which sectors are here and which are the parent's. */
        PARTIALLY_PRESENT;

        boolean isStored() {
            return this == FULLY_PRESENT || this == PARTIALLY_PRESENT;
        }
    }

    /** @return null for the values without a meaning */
    static State state(long entry) {
        return switch ((int) entry & STATE) {
            case 0 -> State.NOT_PRESENT;
            case 1 -> State.UNDEFINED;
            case 2 -> State.ZERO;
            case 3 -> State.UNMAPPED;
            case 6 -> State.FULLY_PRESENT;
            case 7 -> State.PARTIALLY_PRESENT;
            default -> null;
        };
    }

    static boolean hasReservedBits(long entry) {
        return (entry & RESERVED) != 0;
    }

    /** @return byte of the file, whole MiB; below 0 for a place that no file has */
    static long place(long entry) {
        return entry & PLACE;
    }

    /** @return the same state at another place of the file, whole MiB */
    static long movedTo(long entry, long place) {
        return entry & ~PLACE | place;
    }
}
