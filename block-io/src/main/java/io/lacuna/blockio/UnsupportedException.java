package io.lacuna.blockio;

/** The bytes are valid, but they, or the host, ask for something that Lacuna cannot do. */
public final class UnsupportedException extends DiskFormatException {

    private static final long serialVersionUID = 1L;

    /**
     * @param what the field, for instance "ext superblock: incompatible features"
     * @param offset byte of the field in what is being read; -1 where no single place is to blame
     * @param expected what Lacuna can read
     * @param found what is there
     */
    public UnsupportedException(String what, long offset, String expected, Object found) {
        super(what, offset, expected, String.valueOf(found));
    }

    /** @param sentence what is there and why it stops the run, in a sentence a person can act on */
    public UnsupportedException(String sentence) {
        super(sentence, -1, null, null);
    }
}
