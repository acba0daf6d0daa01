package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertUnsafe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.FreeSpace;
import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** $LogFile: what must be clean before $Bitmap is believed. */
class LogFileTest {

    private static final int NONE = 0xFFFF;
    private static final int CLEAN = 2;

    private static NtfsEditor log(int major, int minor, int clientsInUse, int flags) throws IOException {
        return NtfsVolumes.small().restartPage(0, "RSTR", major, minor, 9, clientsInUse, flags)
                .restartPage(1, "RSTR", major, minor, 9, clientsInUse, flags);
    }

    private static void assertRead(NtfsEditor editor) throws IOException {
        assertEquals(NtfsVolumes.small().freeSpace().free(), editor.freeSpace().free());
    }

    @Test
    void acceptsALogWithoutClients() throws IOException {
        assertRead(log(1, 1, NONE, 0));
        assertTrue(log(1, 1, NONE, 0).freeSpace().evidence().contains("$LogFile closed cleanly (version 1.1)"));
    }

    @Test
    void acceptsALogThatIsMarkedClean() throws IOException {
        assertRead(log(1, 1, 0, CLEAN));
        assertRead(log(1, 1, NONE, CLEAN));
    }

    @Test
    void acceptsPagesOfChkdsk() throws IOException {
        assertRead(NtfsVolumes.small().restartPage(0, "CHKD", 1, 1, 9, 0, CLEAN));
    }

    @Test
    void rejectsALogInUse() throws IOException {
        assertUnsafe("still in use", log(1, 1, 0, 0));
        assertUnsafe("still in use", log(1, 1, 0, ~CLEAN));
    }

    /** What a power cut, hibernation or fast start-up leaves: the clean flag means nothing then. */
    @Test
    void trapVersion20WithTheCleanFlagIsNotClean() throws IOException {
        assertUnsafe("version 2.0", log(2, 0, 0, CLEAN));
        assertUnsafe("version 2.0", log(2, 0, NONE, CLEAN));
    }

    @Test
    void rejectsOtherVersions() throws IOException {
        assertUnsafe("version 1.0", log(1, 0, NONE, CLEAN));
        assertUnsafe("version 1.2", log(1, 2, NONE, CLEAN));
        assertUnsafe("version -1.-1", log(-1, -1, NONE, CLEAN));
        assertUnsafe("version 0.1", log(0, 1, NONE, CLEAN));
    }

    @Test
    void trapThePageWithTheHigherLsnCounts() throws IOException {
        assertUnsafe("still in use", NtfsVolumes.small().restartPage(0, "RSTR", 1, 1, 10, NONE, 0)
                .restartPage(1, "RSTR", 1, 1, 11, 0, 0));
        assertUnsafe("version 2.0", NtfsVolumes.small().restartPage(0, "RSTR", 2, 0, 11, NONE, 0)
                .restartPage(1, "RSTR", 1, 1, 10, NONE, 0));
        assertRead(NtfsVolumes.small().restartPage(0, "RSTR", 2, 0, 10, 0, 0).restartPage(1, "RSTR", 1, 1, 11, NONE, 0));
        assertRead(NtfsVolumes.small().restartPage(0, "RSTR", 1, 1, 11, NONE, 0).restartPage(1, "RSTR", 1, 1, 10, 0, 0));
    }

    @Test
    void ofTwoPagesWithTheSameLsnTheDoubtCounts() throws IOException {
        assertUnsafe("still in use", NtfsVolumes.small().restartPage(0, "RSTR", 1, 1, 9, NONE, 0)
                .restartPage(1, "RSTR", 1, 1, 9, 0, 0));
        assertUnsafe("still in use", NtfsVolumes.small().restartPage(0, "RSTR", 1, 1, 9, 0, 0)
                .restartPage(1, "RSTR", 1, 1, 9, NONE, 0));
    }

    @Test
    void aTornPageDoesNotCount() throws IOException {
        for (int torn = 0; torn < 2; torn++) {
            NtfsEditor editor = NtfsVolumes.small().cleanLog().restartPage(torn, "RSTR", 2, 0, 5000, 0, 0);
            editor.bytes[editor.firstRun(2, NtfsEditor.DATA) + torn * 4096 + 1023] ^= 1;
            assertRead(editor);
            assertEquals("One of the two restart pages of $LogFile is damaged; the other one counts.",
                    editor.freeSpace().remarks().get(0));
        }
    }

    @Test
    void rejectsALogWithoutARestartPage() throws IOException {
        NtfsEditor editor = NtfsVolumes.small().restartPage(0, "XXXX", 1, 1, 9, NONE, 0)
                .restartPage(1, "RCRD", 1, 1, 9, NONE, 0);
        assertUnsafe("no readable restart page", editor);
        int log = editor.firstRun(2, NtfsEditor.DATA);
        Arrays.fill(editor.bytes, log, log + 256 * 1024, (byte) 0);
        assertUnsafe("no readable restart page", editor);
    }

    @Test
    void rejectsPagesThatContradictThemselves() throws IOException {
        int[][] fields = {{0x10, 0}, {0x10, 4095}, {0x10, 1 << 20}, {0x10, 8192}, {0x18, 0x10}, {0x18, 0x31}, {0x18, 0xFFF8},
            {0x3C, 1}, {0x36, 0x8000}, {0x06, 3}};
        for (int[] field : fields) {
            NtfsEditor editor = NtfsVolumes.small();
            for (int page = 0; page < 2; page++) {
                int at = editor.firstRun(2, NtfsEditor.DATA) + page * 4096;
                editor.fixed(at, 4096, p -> p.putShort(field[0], (short) field[1]).putShort(field[0] + 2,
                        (short) (field[0] == 0x10 ? field[1] >> 16 : p.getShort(field[0] + 2))));
            }
            assertUnsafe("no readable restart page", editor);
        }
    }

    private static NtfsEditor erased() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int log = editor.firstRun(2, NtfsEditor.DATA);
        Arrays.fill(editor.bytes, log, log + 256 * 1024, (byte) 0xFF);
        return editor;
    }

    @Test
    void acceptsAnErasedLogWithARemark() throws IOException {
        assertRead(erased());
        FreeSpace space = erased().freeSpace();
        assertTrue(space.remarks().get(0).contains("keeps no journal"), space.remarks().toString());
    }

    @Test
    void trapALogThatIsOnlyPartlyErasedIsNotClean() throws IOException {
        int log = erased().firstRun(2, NtfsEditor.DATA);
        for (int at : new int[] {128 * 1024, 200_001, 256 * 1024 - 1}) {
            NtfsEditor editor = erased();
            editor.bytes[log + at] = 0x52;
            assertUnsafe("only partly erased", editor);
        }
        for (int at : new int[] {0, 7, 4096, 128 * 1024 - 1}) {
            NtfsEditor editor = erased();
            editor.bytes[log + at] = 0x52;
            assertUnsafe("no readable restart page", editor);
        }
    }

    @Test
    void rejectsALogWithoutData() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.attribute(2, NtfsEditor.DATA, a -> a.putInt(0, 0x100));
        Refusals.assertCorrupt("$LogFile", editor);
        assertUnsafe("no readable restart page",
                NtfsVolumes.small().attribute(2, NtfsEditor.DATA, a -> a.putLong(0x38, 0)));
    }
}
