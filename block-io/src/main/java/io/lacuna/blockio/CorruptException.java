package io.lacuna.blockio;

/** The bytes contradict their specification. */
public final class CorruptException extends DiskFormatException {

    private static final long serialVersionUID = 1L;

    /**
     * @param what the field, for instance "qcow2 header: cluster bits"
     * @param offset byte of the field in what is being read; -1 where no single place is to blame
     * @param expected what would have been right
     * @param found what is there
     */
    public CorruptException(String what, long offset, String expected, Object found) {
        super(what, offset, expected, String.valueOf(found));
    }
}
