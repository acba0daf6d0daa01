package io.lacuna.fs.ntfs;

/** A file reference: the number of a file record in the low 48 bits, its sequence number in the high 16. */
final class FileReference {

    private static final int NUMBER_BITS = 48;

    private FileReference() {
    }

    static long of(long number, int sequence) {
        return (long) sequence << NUMBER_BITS | number;
    }

    static long number(long reference) {
        return reference & (1L << NUMBER_BITS) - 1;
    }

    static int sequence(long reference) {
        return (int) (reference >>> NUMBER_BITS);
    }
}
