package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import org.junit.jupiter.api.function.Executable;

/** What a refused volume must say. */
final class Refusals {

    private Refusals() {
    }

    /** The volume contradicts itself, and chkdsk is recommended. */
    static void assertCorrupt(String words, NtfsEditor volume) {
        CorruptException e = assertRefused(CorruptException.class, words, volume::freeSpace);
        assertTrue(e.getMessage().contains("chkdsk /f"), e.getMessage());
    }

    static void assertUnsupported(String words, NtfsEditor volume) {
        assertRefused(UnsupportedException.class, words, volume::freeSpace);
    }

    static void assertUnsafe(String words, NtfsEditor volume) {
        assertUnsafe(words, UnsafeException.Scope.VOLUME, volume);
    }

    static void assertUnsafe(String words, UnsafeException.Scope scope, NtfsEditor volume) {
        UnsafeException e = assertRefused(UnsafeException.class, words, volume::freeSpace);
        assertEquals(scope, e.scope());
        assertTrue(e.getMessage().contains("shut it down"), e.getMessage());
    }

    static <T extends DiskFormatException> T assertRefused(Class<T> type, String words, Executable reading) {
        T e = assertThrows(type, reading);
        assertTrue(e.getMessage().contains(words), () -> "expected \"" + words + "\" in: " + e.getMessage());
        return e;
    }
}
