package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Real images whose names for other files lead out of their directory, or to what is no file. */
class UntrustedNamesTest {

    @TempDir
    Path folder;

    private Path inside;
    private Path outside;

    @BeforeEach
    void createTrees() throws IOException {
        Tools.require("qemu-img");
        folder = folder.toRealPath();
        inside = Files.createDirectory(folder.resolve("inside"));
        outside = Files.createDirectory(folder.resolve("outside"));
        Tools.shell("cd \"$1\"; qemu-img create -q -f raw base.raw 1M; qemu-img create -q -f qcow2 base.qcow2 1M\n"
                + "qemu-img create -q -f vmdk base.vmdk 1M", outside);
    }

    private void refuses(Path image, String format) throws IOException {
        String before = Tools.shell("stat -c '%n %i %s %y %z' \"$1\"/*; ls \"$2\"", outside, inside);
        for (Access access : Access.values()) {
            DiskFormatException refused = assertThrows(DiskFormatException.class,
                    () -> DiskImages.open(image, new Options(access, format, List.of())).close(), access.toString());
            assertTrue(refused.reason().contains("--allow-backing"), refused.reason());
            assertTrue(refused.getMessage().chars().noneMatch(Character::isISOControl), refused.getMessage());
        }
        assertEquals(before, Tools.shell("stat -c '%n %i %s %y %z' \"$1\"/*; ls \"$2\"", outside, inside));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../outside/base.raw", "OUTSIDE/base.raw", "link/base.raw",
        "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
        "nbd://localhost:10809/x", "http://localhost/base.raw", "https://localhost/base.raw", "file:///etc/passwd",
        "ssh://host/base.raw",
        "/etc/passwd", "../outside/../../../../../../../../etc/passwd", "baseESC]0;title.raw"})
    void backingFilesOfQcow2(String name) throws IOException {
        Files.createSymbolicLink(inside.resolve("link"), outside);
        String meant = name.replace("OUTSIDE", outside.toString()).replace("ESC", "\u001b");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", meant, "-F", "raw",
                inside.resolve("image.qcow2").toString(), "1M");
        refuses(inside.resolve("image.qcow2"), null);
    }

    @Test
    void dataFilesOfQcow2() throws IOException {
        Tools.shell("cd \"$1\"; qemu-img create -q -f qcow2 -o data_file=../outside/data.raw image.qcow2 1M", inside);
        refuses(inside.resolve("image.qcow2"), "qcow2");
    }

    @Test
    void parentsOfVmdk() throws IOException {
        Tools.shell("cd \"$1\"; qemu-img create -q -f vmdk -b ../outside/base.vmdk -F vmdk image.vmdk", inside);
        refuses(inside.resolve("image.vmdk"), null);
    }

    @ParameterizedTest
    @ValueSource(strings = {"../outside/base.raw", "/etc/passwd", "nbd://localhost/x", "json:{}"})
    void extentsOfVmdk(String name) throws IOException {
        Path image = Files.writeString(inside.resolve("image.vmdk"), "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
                + "createType=\"monolithicFlat\"\nRW 16 FLAT \"" + name + "\" 0\n");
        refuses(image, "vmdk");
    }

    /** What is inside is opened, so that the others are refused for their names. */
    @Test
    void namesInsideAreOpened() throws IOException {
        Tools.shell("cd \"$1\"; cp ../outside/base.* .; qemu-img create -q -f qcow2 -b base.raw -F raw image.qcow2\n"
                + "qemu-img create -q -f vmdk -b base.vmdk -F vmdk image.vmdk", inside);
        for (String name : List.of("image.qcow2", "image.vmdk")) {
            DiskImages.open(inside.resolve(name), new Options(Access.PLAN, null, List.of())).close();
        }
    }
}
