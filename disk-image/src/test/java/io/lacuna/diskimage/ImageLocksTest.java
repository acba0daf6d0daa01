package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Against QEMU's own programs: who keeps whom from an image. */
@Timeout(60)
class ImageLocksTest {

    @TempDir
    Path folder;

    private Path image;

    @BeforeEach
    void createImage() throws IOException {
        Tools.require("qemu-io", "qemu-img", "qemu-nbd", "python3");
        image = Files.write(folder.resolve("disk.raw"), new byte[1 << 20]);
    }

    private OpenedImage open(Access access) throws IOException {
        return DiskImages.open(image, new Options(access, "raw", List.of()));
    }

    private UnsafeException refused(Access access) {
        UnsafeException refused = assertThrows(UnsafeException.class, () -> open(access).close());
        assertEquals(image.toString(), refused.path());
        return refused;
    }

    @Test
    void refusesAnImageThatQemuWritesTo() throws IOException {
        try (Holder qemu = Holder.qemuIo("-f", "raw", image.toString())) {
            String why = refused(Access.WRITE).reason();
            assertTrue(why.contains("'qemu-io' (process " + qemu.process() + ")") && why.contains("byte 101"), why);
            why = refused(Access.PLAN).reason();
            assertTrue(why.contains("'qemu-io' (process " + qemu.process() + ")") && why.contains("byte 101"), why);
            try (OpenedImage looked = open(Access.INSPECT)) {
                assertTrue(looked.remarks().get(0).contains("'qemu-io' (process " + qemu.process() + ")"),
                        looked.remarks().toString());
            }
        }
        open(Access.WRITE).close();
    }

    @Test
    void planningIsAllowedBesideAReaderAndWritingIsNot() throws IOException {
        try (Holder qemu = Holder.qemuIo("-r", "-f", "raw", image.toString())) {
            open(Access.PLAN).close();
            String why = refused(Access.WRITE).reason();
            assertTrue(why.contains("'qemu-io' (process " + qemu.process() + ")") && why.contains("byte 100"), why);
        }
    }

    @Test
    void refusesAnImageThatQemuServesByNetwork() throws IOException {
        Path socket = folder.resolve("socket");
        Process server = new ProcessBuilder("qemu-nbd", "-t", "-f", "raw", "-k", socket.toString(), image.toString()).start();
        try {
            while (!Files.exists(socket) && server.isAlive()) {
                Thread.onSpinWait();
            }
            // It listens before it opens the image; a first client waits for both.
            Tools.ok("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", "nbd+unix:///?socket=" + socket);
            assertTrue(refused(Access.WRITE).reason().contains("'qemu-nbd' (process " + server.pid() + ")"));
        } finally {
            server.destroyForcibly().onExit().join();
        }
    }

    @Test
    void qemuMayNotOpenWhatLacunaWrites() throws IOException {
        try (OpenedImage ours = open(Access.WRITE)) {
            ours.image();
            var written = Tools.run("qemu-io", "-f", "raw", "-c", "write 0 512", image.toString());
            assertTrue(written.status() != 0 && written.output().contains("lock"), written.output());
            var read = Tools.run("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", image.toString());
            assertTrue(read.status() != 0 && read.output().contains("lock"), read.output());
        }
        Tools.ok("qemu-io", "-f", "raw", "-c", "write 0 512", image.toString());
    }

    @Test
    void qemuMayReadButNotWriteWhatLacunaPlans() throws IOException {
        try (OpenedImage ours = open(Access.PLAN)) {
            ours.image();
            Tools.ok("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", image.toString());
            assertTrue(Tools.run("qemu-io", "-f", "raw", "-c", "write 0 512", image.toString()).status() != 0);
        }
    }

    @Test
    void qemuMayDoAnythingBesideALook() throws IOException {
        try (OpenedImage ours = open(Access.INSPECT)) {
            ours.image();
            Tools.ok("qemu-io", "-f", "raw", "-c", "write 0 512", image.toString());
        }
    }

    @Test
    void twoRunsExcludeEachOther() throws IOException {
        try (OpenedImage first = open(Access.WRITE)) {
            first.image();
            String why = refused(Access.WRITE).reason();
            assertTrue(why.contains("byte 101") && why.contains("this very run"), why);
            refused(Access.PLAN);
        }
        try (OpenedImage first = open(Access.PLAN); OpenedImage second = open(Access.PLAN)) {
            assertEquals(first.image().virtualSize(), second.image().virtualSize());
            refused(Access.WRITE);
        }
    }

    /** One permission each, as no real program takes them alone: every byte that is tested must be tested. */
    @Test
    void everySingleLockThatContradictsIsSeen() throws IOException {
        String script = """
                import fcntl, os, struct, sys
                f = os.open(sys.argv[1], os.O_RDONLY)
                fcntl.fcntl(f, 37, struct.pack('hhqqii', 0, 0, int(sys.argv[2]), 1, 0, 0))""";
        for (int at : new int[] {100, 101, 102, 103, 200, 201, 202, 203}) {
            boolean stopsWriter = at != 202;
            boolean stopsPlan = at == 101 || at == 103 || at == 200;
            try (Holder holder = Holder.python(script, image.toString(), Integer.toString(at))) {
                for (Access access : new Access[] {Access.WRITE, Access.PLAN}) {
                    if (access == Access.WRITE ? stopsWriter : stopsPlan) {
                        String why = refused(access).reason();
                        assertTrue(why.contains("byte " + at) && why.contains("process " + holder.process()), why);
                    } else {
                        open(access).close();
                    }
                }
            }
        }
    }

    private OpenedImage openBeneath() throws IOException {
        return DiskImages.open(image, new Options(Access.WRITE, "raw", List.of(), true, new HeldFiles()));
    }

    /** What QEMU holds of a parent is 100, 201 and 203; a punch goes on beneath these, and beneath none of the others. */
    @Test
    void aPunchRunsBeneathReadersAlone() throws IOException {
        String script = """
                import fcntl, os, struct, sys
                f = os.open(sys.argv[1], os.O_RDONLY)
                for at in sys.argv[2].split():
                    fcntl.fcntl(f, 37, struct.pack('hhqqii', 0, 0, int(at), 1, 0, 0))""";
        for (String held : List.of("100", "201", "203", "100 201 203")) {
            try (Holder holder = Holder.python(script, image.toString(), held)) {
                assertTrue(refused(Access.WRITE).reason().contains("--mode punch"));
                try (OpenedImage ours = openBeneath()) {
                    assertTrue(ours.reader().orElseThrow().contains("process " + holder.process()), ours.reader().toString());
                    // Others may start, and nobody may write or resize, nor a second one punch.
                    Tools.ok("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", image.toString());
                    assertTrue(Tools.run("qemu-io", "-f", "raw", "-c", "write 0 512", image.toString()).status() != 0);
                    assertTrue(Tools.run("qemu-img", "resize", "-f", "raw", image.toString(), "2M").status() != 0);
                    assertTrue(assertThrows(UnsafeException.class, () -> openBeneath().close()).reason().contains("byte 102"));
                }
            }
        }
        for (int at : new int[] {101, 102, 103, 200, 202}) {
            try (Holder holder = Holder.python(script, image.toString(), "100 201 203 " + at)) {
                String why = assertThrows(UnsafeException.class, () -> openBeneath().close()).reason();
                assertTrue(why.contains("byte " + at) && why.contains("process " + holder.process()), why);
                assertTrue(!refused(Access.WRITE).reason().contains("--mode punch"));
            }
        }
        // With nobody there it is a writer like any other.
        try (OpenedImage ours = openBeneath()) {
            assertTrue(ours.reader().isEmpty());
            assertTrue(Tools.run("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", image.toString()).status() != 0);
        }
    }

    @Test
    void namesTheHolderOfAnOldStyleLock() throws IOException {
        String script = """
                import fcntl, os, struct, sys
                f = os.open(sys.argv[1], os.O_RDONLY)
                fcntl.lockf(f, fcntl.LOCK_SH, 200, 100)""";
        try (Holder holder = Holder.python(script, image.toString())) {
            assertTrue(refused(Access.WRITE).reason().contains("process " + holder.process()));
        }
    }

    @Test
    void aWriteLockOnTheWholeFileIsRespected() throws IOException {
        String script = """
                import fcntl, os, sys
                f = os.open(sys.argv[1], os.O_RDWR)
                fcntl.lockf(f, fcntl.LOCK_EX)""";
        try (Holder holder = Holder.python(script, image.toString())) {
            assertTrue(refused(Access.PLAN).reason().contains("process " + holder.process()));
        }
    }
}
