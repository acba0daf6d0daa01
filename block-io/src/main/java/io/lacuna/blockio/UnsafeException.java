package io.lacuna.blockio;

/**
 * The bytes are valid and known, but to free anything could lose data: a dirty or hibernated file system, a journal to
 * replay, an image that something else has open.
 */
public final class UnsafeException extends DiskFormatException {

    private static final long serialVersionUID = 1L;

    /** How far the doubt reaches. */
    public enum Scope {
        /** Only the volume that shows the sign. */
        VOLUME,
        /** The whole machine: a saved memory state still holds open file systems, so no volume of the disk may change. */
        MACHINE
    }

    private final Scope scope;

    /** @param sentence what is in doubt and what to do about it, in a sentence a person can act on */
    public UnsafeException(String sentence) {
        this(sentence, Scope.VOLUME);
    }

    /** @param sentence what is in doubt and what to do about it, in a sentence a person can act on */
    public UnsafeException(String sentence, Scope scope) {
        super(sentence, -1, null, null);
        this.scope = scope;
    }

    public Scope scope() {
        return scope;
    }
}
