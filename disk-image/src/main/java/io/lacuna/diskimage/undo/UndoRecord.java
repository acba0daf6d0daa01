package io.lacuna.diskimage.undo;

/**
 * One record of an undo file.
 *
 * @param file index of the image's file that it is about
 * @param phase when it is put back
 * @param offset byte of that file
 * @param length bytes there
 * @param payloadAt byte of the undo file where the payload begins
 * @param payloadLength bytes of it
 * @param checksum of the payload
 */
record UndoRecord(Type type, int file, Phase phase, long offset, long length, long payloadAt, int payloadLength, int checksum) {

    /** What a record says. The number on the disk is the constant's place, from 1. */
    enum Type {
        /** About the run: see {@link RunFacts}. */
        RUN,
        /** About a file before the run: see {@link FileFacts}. */
        FILE,
        /** Checksums of what the plan rests on: see {@link Checksums}. One without a payload: there was more than could be kept. */
        EVIDENCE,
        /** A range that was all zeros. */
        ZERO,
        /** Bytes of a range, as a zstd frame. */
        ZSTD,
        /** Bytes of a range, as they are. */
        STORED,
        /** All that the plan names is kept; changes may follow. */
        ARMED,
        /** What comes before it in the image's order of writes was durable before what comes behind it was begun. */
        BARRIER,
        /** Checksums of tables as the run left them: see {@link Checksums}. */
        LEFT,
        /** The run came to its end. */
        DONE,
        /** The image is being put back. */
        UNDO_BEGUN,
        /**
         * So far it is put back, durably: what was released, and of what was overwritten all but what the first records of the undo
         * file tell, whose number is the offset.
         */
        PUT_BACK,
        /** The image is as it was. */
        UNDONE;

        private static final Type[] ALL = values();

        int number() {
            return ordinal() + 1;
        }

        /** @return null if there is none of this number */
        static Type of(int number) {
            return number < 1 || number > ALL.length ? null : ALL[number - 1];
        }
    }

    /**
     * When a range is put back. In this order a cut leaves all live bytes in a place that is mapped, for the tables change over
     * while both places hold them.
     */
    enum Phase {
        /** Was punched or cut off, or is going to be. The last record of a place says what it held then. */
        RELEASED,
        /** Was overwritten: tables. The last one first; a place has a record for each time that it was made durable in between. */
        OVERWRITTEN,
        /** Has received a block from elsewhere, which is needed until the tables are as they were. */
        REPLACED;

        private static final Phase[] ALL = values();

        /** @return null if there is none of this number */
        static Phase of(int number) {
            return number < 0 || number >= ALL.length ? null : ALL[number];
        }
    }

    /** @return whether it tells the old bytes of a range */
    boolean isContent() {
        return type == Type.ZERO || holdsData();
    }

    boolean holdsData() {
        return type == Type.ZSTD || type == Type.STORED;
    }

    long end() {
        return offset + length;
    }
}
