package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.Tools;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UndoCommandTest {

    @TempDir
    Path directory;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();

    private int lacuna(String... arguments) {
        out.reset();
        err.reset();
        PrintStream errors = new PrintStream(err, true, StandardCharsets.UTF_8);
        return Main.run(arguments, new PrintStream(out, true, StandardCharsets.UTF_8), errors, new Terminal(errors, false), false);
    }

    private String in(String name) {
        return directory.resolve(name).toString();
    }

    private void makeImage(String name) {
        Tools.require("mke2fs", "debugfs");
        Tools.shell("truncate -s 16M \"$1\"; mke2fs -q -F -t ext4 \"$1\"; head -c 3M /dev/urandom > \"$1.file\"\n"
                + "debugfs -w -R \"write $1.file f\" \"$1\" 2> /dev/null; debugfs -w -R 'rm f' \"$1\" 2> /dev/null; rm \"$1.file\"",
                in(name));
    }

    @Test
    void thereAndBack() throws IOException {
        makeImage("vm.raw");
        byte[] before = Files.readAllBytes(directory.resolve("vm.raw"));
        assertEquals(0, lacuna("reclaim", "--undo", in("vm.undo"), in("vm.raw")), out::toString);
        assertTrue(out.toString().contains("is kept in " + in("vm.undo")), out.toString());
        assertEquals(0, lacuna("undo", in("vm.undo")), out::toString);
        assertTrue(out.toString().contains("vm.raw is as it was before the run: 3.0 MiB put back"), out.toString());
        assertTrue(Arrays.equals(before, Files.readAllBytes(directory.resolve("vm.raw"))));
        assertEquals(3, lacuna("undo", in("vm.undo")));
        assertTrue(out.toString().contains("refused, nothing was changed: this undo file was used already"), out.toString());
        assertEquals(3, lacuna("undo", in("vm.raw")));
        assertTrue(out.toString().contains("not an undo file"), out.toString());
        assertEquals(1, lacuna("undo", in("nothing.undo")));
        assertTrue(out.toString().contains("no such file"), out.toString());
        assertEquals(3, lacuna("reclaim", "--undo", in("vm.undo"), in("vm.raw")));
        assertTrue(out.toString().contains("exists already"), out.toString());
    }

    /** The report takes its name when the run is done: what brings the image back would be gone. */
    @Test
    void theReportTakesAnotherPlace() throws IOException {
        makeImage("vm.raw");
        Files.createDirectory(directory.resolve("undos"));
        String[][] clashes = {{"x", "x"}, {"x", "x.sig"}, {"x", "undos/../x.p7s"}, {"undos/vm.raw.lacuna-undo", "undos"}};
        for (String[] clash : clashes) {
            assertEquals(2, lacuna("reclaim", "--report", in(clash[0]), "--undo", in(clash[1]), in("vm.raw")), clash[1]);
            assertTrue(err.toString().contains("name the same file"), err.toString());
        }
        assertEquals(0, lacuna("reclaim", "--report", in("x"), "--undo", in("undos"), in("vm.raw")), out::toString);
        assertEquals(0, lacuna("undo", in("undos/vm.raw.lacuna-undo")));
    }

    @Test
    void severalImagesTakeADirectory() throws IOException {
        makeImage("a.raw");
        makeImage("b.raw");
        assertEquals(2, lacuna("reclaim", "--undo", in("undos"), in("a.raw"), in("b.raw")));
        assertTrue(err.toString().contains("names a directory"), err.toString());
        assertEquals(2, lacuna("reclaim", "--undo", in("undos"), directory.toString()));
        Files.createDirectory(directory.resolve("undos"));
        assertEquals(0, lacuna("reclaim", "--undo", in("undos"), in("a.raw"), in("b.raw")), out::toString);
        assertEquals(0, lacuna("undo", in("undos/a.raw.lacuna-undo")));
        assertEquals(0, lacuna("undo", in("undos/b.raw.lacuna-undo")));
    }

    /** Each would take the other's for that of an earlier run, after the first image has changed. */
    @Test
    void imagesOfOneNameCannotShareADirectory() throws IOException {
        Files.createDirectories(directory.resolve("one"));
        Files.createDirectories(directory.resolve("other"));
        Files.createDirectory(directory.resolve("undos"));
        makeImage("one/disk.raw");
        makeImage("other/disk.raw");
        byte[] before = Files.readAllBytes(directory.resolve("one/disk.raw"));
        assertEquals(2, lacuna("reclaim", "--undo", in("undos"), in("one/disk.raw"), in("other/disk.raw")));
        assertTrue(err.toString().contains("have the same name, and would share " + in("undos/disk.raw.lacuna-undo")),
                err.toString());
        assertTrue(Arrays.equals(before, Files.readAllBytes(directory.resolve("one/disk.raw"))));
        assertEquals(0, lacuna("reclaim", "--undo", in("undos"), in("one/disk.raw"), in("one/../one/disk.raw")), out::toString);
    }

    @Test
    void wrongUse() {
        assertEquals(2, lacuna("undo"));
        assertEquals(2, lacuna("undo", in("a"), in("b")));
        assertEquals(2, lacuna("undo", "--force", in("a")));
        assertEquals(0, lacuna("undo", "--help"));
        assertTrue(out.toString().contains("--unchanged") && out.toString().contains("Examples:"), out.toString());
        assertEquals(0, lacuna("--help"));
        assertTrue(out.toString().contains("lacuna undo vm.undo"), out.toString());
    }
}
