package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.Tools;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CopyCommandTest {

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

    @Test
    void copiesAndReports() {
        Tools.require("jq", "qemu-img");
        Tools.shell("head -c 2M /dev/urandom > \"$1\"; truncate -s 8M \"$1\"; sync", in("vm.raw"));
        assertEquals(0, lacuna("copy", in("vm.raw"), in("vm.qcow2")), err::toString);
        assertTrue(out.toString().contains("copied whole: no known signature"), out.toString());
        assertTrue(out.toString().contains("copied to " + in("vm.qcow2") + " (qcow2)"), out.toString());
        assertEquals(0, lacuna("copy", "--json", "--to", "vmdk-stream", in("vm.raw"), in("vm.vmdk")));
        String values = Tools.okWithInput(out.toString(), "jq", "-r",
                ".images[0] | .verdict, .copy.format, .copy.copiedBytes, (.copy.hostBytes > 2000000)");
        assertEquals("copied\nvmdk-stream\n2097152\ntrue\n", values);
        assertEquals(3, lacuna("copy", in("vm.raw"), in("vm.qcow2")));
        assertTrue(out.toString().contains("exists already"), out.toString());
        assertEquals(0, lacuna("copy", "--force", "--compress", "-f", "raw", "-O", "qcow2", in("vm.raw"), in("vm.qcow2")));
        Tools.ok("qemu-img", "compare", "-f", "raw", "-F", "qcow2", in("vm.raw"), in("vm.qcow2"));
        assertEquals(1, lacuna("copy", in("nothing.raw"), in("new.qcow2")));
        assertFalse(Files.exists(directory.resolve("new.qcow2")));
    }

    @Test
    void wrongUse() {
        assertEquals(2, lacuna("copy", in("vm.raw")));
        assertEquals(2, lacuna("copy", in("vm.raw"), in("vm.xyz")));
        assertTrue(err.toString().contains("say --to FORMAT"), err.toString());
        assertEquals(2, lacuna("copy", "--to", "vhd", "--compress", in("vm.raw"), in("vm.vhd")));
        assertEquals(2, lacuna("copy", "--to", "raw", "--keep-chain", in("vm.raw"), in("copy.raw")));
        assertEquals(2, lacuna("copy", "--to", "iso", in("vm.raw"), in("copy.raw")));
        assertTrue(err.toString().contains("vmdk-stream"), err.toString());
    }
}
