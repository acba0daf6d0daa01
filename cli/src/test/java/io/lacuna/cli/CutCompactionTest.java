package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ReclaimMode;
import io.lacuna.engine.ReclaimOptions;
import io.lacuna.engine.Reclaimer;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A compaction that is killed in the middle of its moves, in each format that has them: what every command says of it afterwards.
 */
class CutCompactionTest {

    private static final String NOTICE = "An earlier run that moved blocks to make the image shorter was cut after ";
    private static final String ADVICE = "a run of lacuna reclaim with --mode compact finishes the work";

    @TempDir
    static Path shared;

    private static GuestDisk disk;

    @TempDir
    Path directory;

    private String out;

    /** Compacts an image and dies when half of it is done; the process that is killed. */
    static final class Victim {

        private Victim() {
        }

        public static void main(String[] arguments) {
            Path image = Path.of(arguments[0]);
            Path journal = Path.of(image + ".lacuna-journal");
            ReclaimOptions.Builder options = ReclaimOptions.builder().mode(ReclaimMode.COMPACT);
            if (arguments.length > 1) {
                options.undo(Path.of(arguments[1]));
            }
            Reclaimer.run(image, options.build(), (done, total) -> {
                if (done >= total / 3 && Files.exists(journal)) {
                    Runtime.getRuntime().halt(137);
                }
            });
        }
    }

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "jq");
        disk = GuestDisk.assemble(shared.resolve("model.raw"), "gpt", 512, GuestVolume.ext(shared, "ext", 40 << 20,
                "-t ext4 -b 4096"));
    }

    private int lacuna(String... arguments) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream stream = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        int status = Main.run(arguments, stream, stream, new Terminal(stream, false), false);
        out = bytes.toString(StandardCharsets.UTF_8);
        return status;
    }

    private void requireTold(int expected, String... arguments) {
        assertEquals(expected, lacuna(arguments), out);
        assertTrue(out.contains(NOTICE) && out.contains(ADVICE), () -> String.join(" ", arguments) + " says: " + out);
    }

    private void kill(Path image, String... undo) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")), "-XX:TieredStopAtLevel=1",
                Victim.class.getName(), image.toString());
        builder.command().addAll(List.of(undo));
        Process process = builder.inheritIO().start();
        assertTrue(process.waitFor(120, TimeUnit.SECONDS), "no end");
        assertEquals(137, process.exitValue(), "the run came to its end before it could be killed");
        assertTrue(Files.exists(journal(image)), "it was not cut among its moves");
    }

    private static Path journal(Path image) {
        return Path.of(image + ".lacuna-journal");
    }

    private void requireLive(Path image, String driver) throws IOException {
        Path raw = directory.resolve("now.raw");
        Tools.ok("qemu-img", "convert", "-f", driver, "-O", "raw", image.toString(), raw.toString());
        assertEquals(List.of(), disk.differences(raw, disk.free(), io.lacuna.blockio.ExtentSet.EMPTY));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"qcow2|", "vpc|-o force_size=on", "vhdx|-o block_size=1M", "vmdk|",
        "vmdk|-o subformat=twoGbMaxExtentSparse", "vdi|"})
    void everyCommandTellsOfIt(String driver, String options) throws IOException, InterruptedException {
        String format = driver.equals("vpc") ? "vhd" : driver;
        String image = directory.resolve("vm." + format).toString();
        Tools.shell("qemu-img convert -q -f raw -O $3 ${4:-} \"$1\" \"$2\"; sync -f \"$2\"", disk.file(), image, driver,
                options == null ? "" : options);
        String report = directory.resolve("report.json").toString();
        assertEquals(0, lacuna("reclaim", "--dry-run", "--verify", "live", "--mode", "compact", "--report", report, image), out);
        kill(Path.of(image));
        requireLive(Path.of(image), driver);

        requireTold(0, "inspect", image);
        requireTold(0, "inspect", "--json", image);
        for (String mode : new String[] {"punch", "deallocate", "compact"}) {
            requireTold(0, "reclaim", "--dry-run", "--mode", mode, image);
        }
        String copy = directory.resolve("copy.raw").toString();
        requireTold(0, "copy", image, copy);
        assertEquals(List.of(), disk.differences(Path.of(copy), disk.free(), disk.free().inwardTo(65536)));
        requireTold(0, "verify", report, image);
        requireTold(0, "reclaim", "--mode", "punch", image);
        assertTrue(Files.exists(journal(Path.of(image))), "a punch does not finish it");

        requireTold(0, "reclaim", "--mode", "compact", image);
        assertFalse(Files.exists(journal(Path.of(image))));
        assertEquals(0, lacuna("inspect", image), out);
        assertFalse(out.contains(NOTICE), out);
        assertEquals(0, lacuna("verify", report, image), out);
        requireLive(Path.of(image), driver);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"qcow2|", "vpc|-o force_size=on", "vhdx|-o block_size=1M", "vmdk|", "vdi|"})
    void undoTakesItBack(String driver, String options) throws IOException, InterruptedException {
        Path image = directory.resolve("vm." + driver);
        Tools.shell("qemu-img convert -q -f raw -O $3 ${4:-} \"$1\" \"$2\"; sync -f \"$2\"", disk.file(), image, driver,
                options == null ? "" : options);
        String before = Tools.ok("sha256sum", image.toString());
        String undo = directory.resolve("vm.undo").toString();
        kill(image, undo);
        requireTold(0, "inspect", image.toString());
        assertEquals(0, lacuna("undo", undo), out);
        assertTrue(out.contains("The run was cut; what it had done until then is taken back"), out);
        assertFalse(Files.exists(journal(image)));
        assertEquals(before, Tools.ok("sha256sum", image.toString()));
        assertEquals(0, lacuna("inspect", image.toString()), out);
        assertFalse(out.contains(NOTICE), out);
    }
}
