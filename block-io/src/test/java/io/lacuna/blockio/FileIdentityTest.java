package io.lacuna.blockio;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

/** A plan of an earlier session holds by these five numbers, each of which can tell of a change alone. */
class FileIdentityTest {

    private static final FileIdentity FILE = new FileIdentity(1, 2, 3, 4, 5, false);

    @Test
    void eachNumberTellsOfAChange() {
        assertTrue(FILE.provesUnchangedSince(new FileIdentity(1, 2, 3, 4, 5, false)));
        for (FileIdentity other : List.of(new FileIdentity(9, 2, 3, 4, 5, false), new FileIdentity(1, 9, 3, 4, 5, false),
                new FileIdentity(1, 2, 9, 4, 5, false), new FileIdentity(1, 2, 3, 9, 5, false),
                new FileIdentity(1, 2, 3, 4, 9, false))) {
            assertFalse(FILE.provesUnchangedSince(other), other.toString());
            assertFalse(other.provesUnchangedSince(FILE), other.toString());
        }
    }

    @Test
    void aBlockDeviceProvesNothing() {
        FileIdentity device = new FileIdentity(1, 2, 3, 4, 5, true);
        assertFalse(device.provesUnchangedSince(device));
        assertFalse(device.provesUnchangedSince(FILE));
        assertFalse(FILE.provesUnchangedSince(device));
    }
}
