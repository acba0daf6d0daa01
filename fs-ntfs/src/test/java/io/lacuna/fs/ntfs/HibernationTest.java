package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static io.lacuna.fs.ntfs.Refusals.assertUnsafe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsafeException.Scope;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** hiberfil.sys: the one doubt that reaches beyond its volume. */
class HibernationTest {

    private static final int HEAD = 4096;

    @TempDir
    Path directory;

    /** A volume whose root folder got these files. */
    private NtfsEditor volume(String script) throws IOException {
        Path image = NtfsVolumes.make(directory, 4 << 20, "-c 4096");
        NtfsVolumes.write(image, script);
        return new NtfsEditor(Files.readAllBytes(image)).cleanLog();
    }

    private void assertHibernated(String words, NtfsEditor volume) {
        assertUnsafe(words, Scope.MACHINE, volume);
        assertUnsafe("powercfg /h off", Scope.MACHINE, volume);
    }

    @Test
    void acceptsAClearedFile() throws IOException {
        NtfsEditor editor = volume("head -c 65536 /dev/zero > hiberfil.sys; printf live | dd of=hiberfil.sys bs=1 seek=4096 "
                + "conv=notrunc");
        assertTrue(editor.freeSpace().evidence().contains("hiberfil.sys is cleared"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"hibr", "HIBR", "RSTR", "wake", "WAKE", "Link"})
    void trapASavedMemoryStopsTheWholeMachine(String signature) throws IOException {
        assertHibernated("begins with \"" + signature + "\"",
                volume("printf " + signature + " > hiberfil.sys; head -c 65536 /dev/zero >> hiberfil.sys"));
    }

    @Test
    void everyByteOfTheHeadCounts() throws IOException {
        NtfsEditor editor = volume("head -c 65536 /dev/zero > hiberfil.sys");
        int data = editor.firstRun(fileNumber(editor), NtfsEditor.DATA);
        for (int at : new int[] {0, 1, 511, 512, 4095}) {
            NtfsEditor changed = new NtfsEditor(editor.bytes);
            changed.bytes[data + at] = 1;
            assertHibernated("bytes that are not 0", changed);
        }
        editor.bytes[data + HEAD] = 1;
        editor.freeSpace();
    }

    @ParameterizedTest
    @ValueSource(strings = {"HIBERFIL.SYS", "HiberFil.Sys", "hiberfil.SYS"})
    void trapTheNameIsMetInAnyCase(String name) throws IOException {
        assertHibernated("begins with \"hibr\"", volume("printf hibr > " + name + "; head -c 9999 /dev/zero >> " + name));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 600, 4095})
    void rejectsAShortFile(int size) throws IOException {
        assertHibernated("shorter than 4096 bytes", volume("head -c " + size + " /dev/zero > hiberfil.sys"));
    }

    /** Windows writes its memory into the clusters themselves and does not tell the file system. */
    @Test
    void trapAMemoryBehindTheValidSizeIsSeen() throws IOException {
        NtfsEditor editor = volume("printf hibr > hiberfil.sys; head -c 65536 /dev/zero >> hiberfil.sys");
        assertHibernated("begins with \"hibr\"", editor.attribute(fileNumber(editor), NtfsEditor.DATA, a -> a.putLong(0x38, 0)));
    }

    @Test
    void rejectsAFileThatIsNotPlain() throws IOException {
        assertHibernated("not a plain file", volume("mkdir hiberfil.sys"));
        NtfsEditor editor = volume("head -c 65536 /dev/zero > hiberfil.sys");
        int number = fileNumber(editor);
        for (int flags : new int[] {0x0001, 0x4000, 0x8000}) {
            NtfsEditor changed = new NtfsEditor(editor.bytes);
            assertHibernated("compressed, encrypted or sparse",
                    changed.attribute(number, NtfsEditor.DATA, a -> a.putShort(0x0C, (short) flags)));
        }
        // A sparse run without the flag.
        assertHibernated("compressed, encrypted or sparse", new NtfsEditor(editor.bytes)
                .runs(number, NtfsEditor.DATA, new byte[] {0x01, 16, 0}));
    }

    @Test
    void aFileElsewhereIsNoHibernation() throws IOException {
        NtfsEditor editor = volume("mkdir d; printf hibr > d/hiberfil.sys; printf hibr > hiberfil.sys.old; printf hibr > hiberfil");
        assertTrue(editor.freeSpace().evidence().contains("no hiberfil.sys"));
    }

    @Test
    void isFoundInALargeRootFolder() throws IOException {
        NtfsEditor editor = volume("for i in $(seq 400); do : > a$i; : > z$i; done; printf hibr > hiberfil.sys; "
                + "head -c 9999 /dev/zero >> hiberfil.sys");
        assertHibernated("begins with \"hibr\"", editor);
    }

    /** A dirty volume is hibernated as well more often than not; the doubt that reaches further is the one to report. */
    @Test
    void trapOtherDoubtsDoNotHideIt() throws IOException {
        NtfsEditor editor = volume("printf hibr > hiberfil.sys; head -c 9999 /dev/zero >> hiberfil.sys");
        editor.restartPage(0, "RSTR", 2, 0, 9999, 0, 0);
        editor.attribute(3, 0x70, a -> a.put(a.getShort(0x14) + 10, (byte) 1));
        assertHibernated("begins with \"hibr\"", editor);
    }

    /** In doubt there is one: only zeros that are seen say that there is none. */
    @Test
    void trapAFileThatCannotBeReadStopsTheWholeMachine() throws IOException {
        NtfsEditor entryOfAnother = volume("head -c 65536 /dev/zero > hiberfil.sys");
        NtfsEditor notInUse = new NtfsEditor(entryOfAnother.bytes);
        NtfsEditor torn = new NtfsEditor(entryOfAnother.bytes);
        int file = fileNumber(entryOfAnother);
        entryOfAnother.record(file, record -> record.putShort(0x10, (short) (record.getShort(0x10) + 1)));
        assertHibernated("cannot be read: ", entryOfAnother);
        notInUse.record(file, record -> record.putShort(0x16, (short) 0));
        assertHibernated("cannot be read: ", notInUse);
        torn.attribute(file, NtfsEditor.DATA, a -> a.putLong(0x28, -1));
        assertHibernated("cannot be read: ", torn);
    }

    /** As many as nobody has, and each of them would have to be read. */
    @Test
    void moreOfThemThanAreReadAreADoubt() throws IOException {
        NtfsEditor editor = volume("for name in {h,H}{i,I}{b,B}{e,E}{r,R}{f,F}il.sys; do head -c 4096 /dev/zero > $name; done");
        assertHibernated("64 times or more", editor);
    }

    /** NTFS-3G gives the first user file record 64. */
    private static int fileNumber(NtfsEditor editor) throws IOException {
        return 64;
    }

    // The index itself.

    private static int indexBlock(NtfsEditor editor) {
        return editor.firstRun(5, 0xA0);
    }

    private static NtfsEditor index(Consumer<ByteBuffer> change) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        return editor.fixed(indexBlock(editor), 4096, change);
    }

    @Test
    void rejectsATornIndexBlock() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.bytes[indexBlock(editor) + 2047] ^= 1;
        assertCorrupt("NTFS index block: sector 3 is from another write", editor);
    }

    @Test
    void rejectsIndexBlocksThatContradictThemselves() throws IOException {
        assertCorrupt("NTFS index block: signature", index(b -> b.put(0, (byte) 'X')));
        assertCorrupt("NTFS index block: its own number", index(b -> b.putLong(0x10, 1)));
        assertCorrupt("place of the entries", index(b -> b.putInt(0x18, 8)));
        assertCorrupt("place of the entries", index(b -> b.putInt(0x1C, 4096)));
        assertCorrupt("place of the entries", index(b -> b.putInt(0x1C, b.getInt(0x18) - 8)));
        assertCorrupt("on-disk structure", index(b -> b.putInt(0x1C, b.getInt(0x18))));
        int first = 0x18 + NtfsVolumes.small().volume.getInt(indexBlock(NtfsVolumes.small()) + 0x18);
        assertCorrupt("length of an entry", index(b -> b.putShort(first + 8, (short) 0)));
        assertCorrupt("length of an entry", index(b -> b.putShort(first + 8, (short) 0x0C)));
        assertCorrupt("length of an entry", index(b -> b.putShort(first + 8, (short) 0x59)));
        assertCorrupt("length of an entry", index(b -> b.putShort(first + 8, (short) 0x7FF8)));
        assertCorrupt("length of a name", index(b -> b.putShort(first + 10, (short) 0x7000)));
        assertCorrupt("on-disk structure", index(b -> b.put(first + 0x50, (byte) 0xFF)));
    }

    @Test
    void rejectsALoopOfIndexBlocks() throws IOException {
        int first = 0x18 + NtfsVolumes.small().volume.getInt(indexBlock(NtfsVolumes.small()) + 0x18);
        NtfsEditor loop = index(b -> b.putShort(first + 12, (short) 1)
                .putLong(first + b.getShort(first + 8) - 8, 0).putShort(first + 10, (short) 0));
        // The shortened key no longer holds a name, so make it the last entry, which has none.
        loop.fixed(indexBlock(loop), 4096, b -> b.putShort(first + 12, (short) 3));
        assertCorrupt("to be met once", loop);
    }

    @Test
    void rejectsRootsThatContradictThemselves() throws IOException {
        assertCorrupt("what its index holds", root(a -> a.putInt(0, 0x31)));
        assertCorrupt("size of an index block", root(a -> a.putInt(8, 8192)));
        for (long vcn : new long[] {1000, 1L << 40, Long.MAX_VALUE}) {
            assertCorrupt("number of an index block", root(a -> a.putLong(firstChild(a), vcn)));
        }
        assertCorrupt("64-bit field", root(a -> a.putLong(firstChild(a), -1)));
        assertCorrupt("$INDEX_ROOT", NtfsVolumes.small().attribute(5, 0x90, a -> a.putInt(0, 0x100)));
        assertCorrupt("attribute 0xa0", NtfsVolumes.small().attribute(5, 0xA0, a -> a.putInt(0, 0x100)));
        assertEquals(NtfsVolumes.small().freeSpace().free(), root(a -> { }).freeSpace().free());
    }

    private static int firstChild(ByteBuffer root) {
        int entry = 0x10 + root.getInt(0x10);
        assertEquals(1, root.getShort(entry + 12) & 1, "the root folder of this volume is too small");
        return entry + root.getShort(entry + 8) - 8;
    }

    /** Changes the value of $INDEX_ROOT. */
    private static NtfsEditor root(Consumer<ByteBuffer> change) throws IOException {
        return NtfsVolumes.small().attribute(5, 0x90,
                a -> change.accept(a.slice(a.getShort(0x14), a.limit() - a.getShort(0x14)).order(a.order())));
    }
}
