package io.lacuna.partition;

/**
 * Something that stands on a volume and whose free space is not read.
 *
 * @param name its short name, as {@code blkid} and {@code mount} know it
 * @param description what it is, for a sentence: "an LVM physical volume"
 * @param offset where its signature starts, in bytes from the start of the volume
 * @param headerLength for a swap area the bytes of its first page, which must stay; else the bytes of the signature
 * @param areaLength bytes from the start of the volume that it speaks for, as far as that is known without reading more: for a
 *     swap area all its pages; else all of the volume
 */
public record VolumeSignature(String name, String description, Kind kind, long offset, long headerLength,
        long areaLength) {

    /** What follows from it. */
    public enum Kind {
        /** A guest's memory is saved here: it will run on, and no volume of its machine may change. */
        SAVED_MEMORY,
        /** A sound Linux swap area without saved memory: a guest that boots needs none of it but the first page. */
        SWAP,
        /** Anything else: its content cannot be told. */
        OTHER
    }
}
