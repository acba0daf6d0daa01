package io.lacuna.cli;

import static io.lacuna.cli.CommandRun.lacuna;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Looking at images without a trace: no access time, no write lock, no need to write at all; and a running writer is noticed. */
class ForensicTest {

    @TempDir
    static Path shared;

    private static Path volume;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeVolume() throws IOException {
        volume = GuestVolume.ext(shared, "volume", 16 << 20, "-t ext4").file();
    }

    private Path image() {
        Path image = directory.resolve("vm.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; sync \"$2\"", volume, image);
        return image;
    }

    /** @return a signed report of the image as it is */
    private Path reportOf(Path image) {
        Path report = directory.resolve("run.json");
        if (!Files.exists(report)) {
            assertEquals(0, lacuna("keygen", directory.resolve("key")).status());
            CommandRun run = lacuna("reclaim", "--dry-run", "--report", report, "--sign", directory.resolve("key"), image);
            assertEquals(0, run.status(), run.toString());
        }
        return report;
    }

    private List<List<Object>> readingCommands(Path image, Object... options) {
        Path report = reportOf(image);
        List<List<Object>> commands = new ArrayList<>();
        commands.add(List.of("inspect", image));
        commands.add(List.of("reclaim", "--dry-run", "--verify", "live", image));
        commands.add(List.of("copy", "--force", image, directory.resolve("copy.qcow2")));
        commands.add(List.of("verify", "--key", directory.resolve("key.pub"), report, image));
        for (int i = 0; i < commands.size(); i++) {
            List<Object> words = new ArrayList<>(commands.get(i));
            words.addAll(1, List.of(options));
            commands.set(i, words);
        }
        return commands;
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "chain", "split"})
    void leavesNoTraceInAnyTimeOfAnyFile(String kind) {
        Tools.requireLoopDevices();
        Tools.require("qemu-img");
        Path evidence = directory.resolve("evidence");
        Tools.shell("mkdir \"$1\"; mount -t tmpfs -o strictatime,size=64M none \"$1\"", evidence);
        try {
            Path image = switch (kind) {
                case "raw" -> evidence.resolve("vm.raw");
                case "chain" -> evidence.resolve("top.qcow2");
                default -> evidence.resolve("vm.vmdk");
            };
            Tools.shell(switch (kind) {
                case "raw" -> "cp --sparse=always \"$1\" \"$2\"";
                case "chain" -> "qemu-img convert -O vhdx \"$1\" \"$2.base\"; qemu-img create -q -f qcow2 -b \"$2.base\" -F vhdx "
                        + "\"$2\"";
                default -> "qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse \"$1\" \"$2\"";
            }, volume, image);
            reportOf(image);
            String times = times(evidence);
            Tools.shell("sleep 0.02");
            for (List<Object> command : readingCommands(image)) {
                CommandRun run = lacuna(command.toArray());
                assertEquals(0, run.status(), command + ": " + run);
                assertEquals(times, times(evidence), command.toString());
            }
            assertEquals(0, lacuna("inspect", evidence).status());
            assertEquals(times, times(evidence), "a directory that is searched");
            Tools.shell("cat \"$1\" > /dev/null", image);
            assertFalse(times.equals(times(evidence)), "the test can see a trace");
        } finally {
            Tools.shell("umount \"$1\"", evidence);
        }
    }

    private static String times(Path directory) {
        return Tools.shell("find \"$1\" -type f -exec stat -c '%n %x %y %z %b' {} + | sort", directory);
    }

    /** The command in a process of its own, with a class path that everybody can read. */
    private List<String> ownProcess(List<Object> command) throws IOException {
        Path libraries = directory.resolve("lib");
        if (!Files.exists(libraries)) {
            Files.createDirectory(libraries);
            String classpath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
            StringBuilder own = new StringBuilder();
            int number = 0;
            for (String entry : classpath.split(File.pathSeparator)) {
                if (entry.endsWith("test-classes") || entry.contains("archunit") || entry.contains("junit")) {
                    continue;
                }
                Path copy = libraries.resolve(number++ + (Files.isDirectory(Path.of(entry)) ? "" : ".jar"));
                Tools.shell("cp -r \"$1\" \"$2\"", entry, copy);
                own.append(own.length() == 0 ? "" : ":").append(copy);
            }
            Files.writeString(libraries.resolve("classpath"), own);
            Tools.shell("chmod -R a+rX \"$1\"", directory);
        }
        List<String> words = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + directory, "-cp", Files.readString(libraries.resolve("classpath")),
                "io.lacuna.cli.Main"));
        command.forEach(word -> words.add(word.toString()));
        return words;
    }

    @Test
    void takesNoWriteLockAndOpensNothingForWriting() throws IOException {
        Tools.require("strace");
        Path image = image();
        for (List<Object> command : readingCommands(image)) {
            // A file a thread: in one for all, a call that another thread's interrupts is in two parts.
            Path traces = Files.createTempDirectory(directory, "traces");
            List<String> words = new ArrayList<>(List.of("strace", "-ff", "-qq", "-e",
                    "trace=openat,fcntl,flock,ftruncate,fallocate,pwrite64",
                    "-y", "-o", traces.resolve("of").toString()));
            words.addAll(ownProcess(command));
            Tools.Result result = Tools.run(words.toArray(String[]::new));
            assertEquals(0, result.status(), result.output());
            List<String> ofImage = Tools.shell("cat \"$1\"/*", traces).lines().filter(line -> line.contains("vm.raw")).toList();
            assertTrue(ofImage.stream().anyMatch(line -> line.contains("O_NOATIME")), command + ": the image itself is traced");
            assertTrue(command.get(0).equals("inspect") || ofImage.stream().anyMatch(line -> line.contains("F_OFD_SETLK")),
                    command + ": locks are traced");
            for (String line : ofImage) {
                boolean test = line.contains("F_OFD_GETLK") || line.contains("F_GETLK");
                assertTrue(test || !line.contains("F_WRLCK"), command + ": " + line);
                boolean changes = line.contains("O_RDWR") || line.contains("O_WRONLY") || line.contains("pwrite64(")
                        || line.contains("ftruncate(") || line.contains("fallocate(") || line.contains("LOCK_EX");
                assertFalse(changes, command + ": " + line);
            }
        }
    }

    @Test
    void readsWhatAnotherUserMayOnlyRead() throws IOException {
        Tools.requireLoopDevices();
        Tools.require("setpriv");
        Path image = image();
        List<List<Object>> commands = readingCommands(image);
        Path out = directory.resolve("out");
        Tools.shell("chmod 0444 \"$1\"; mkdir -m 0777 \"$2\"; chmod 0755 \"$3\"", image, out, directory);
        for (List<Object> command : commands) {
            List<String> words = new ArrayList<>(List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"));
            List<Object> moved = new ArrayList<>(command);
            moved.replaceAll(word -> word.equals(directory.resolve("copy.qcow2")) ? out.resolve("copy.qcow2") : word);
            words.addAll(ownProcess(moved));
            words.set(words.indexOf("-Djava.io.tmpdir=" + directory), "-Djava.io.tmpdir=" + out);
            Tools.Result result = Tools.run(words.toArray(String[]::new));
            assertEquals(0, result.status(), command + ": " + result.output());
            boolean told = result.output().contains("Whether a program of another user has " + image);
            assertTrue(told || !command.get(0).equals("inspect"), command + ": " + result.output());
        }
        // Whoever writes has to know.
        Tools.shell("chmod 0666 \"$1\"", image);
        List<String> words = new ArrayList<>(List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"));
        words.addAll(ownProcess(List.of("reclaim", image)));
        words.set(words.indexOf("-Djava.io.tmpdir=" + directory), "-Djava.io.tmpdir=" + out);
        Tools.Result result = Tools.run(words.toArray(String[]::new));
        assertEquals(3, result.status(), result.output());
        assertTrue(result.output().contains("run as root, or as the image's owner"), result.output());
    }

    @Test
    void readsADeviceThatCannotBeWritten() {
        Tools.requireLoopDevices();
        Path image = image();
        String loop = Tools.shell("losetup -f --show \"$1\"", image).strip();
        try {
            Tools.shell("blockdev --setro \"$1\"", loop);
            for (List<Object> command : readingCommands(Path.of(loop), "--format", "raw")) {
                CommandRun run = lacuna(command.toArray());
                assertEquals(0, run.status(), command + ": " + run);
            }
        } finally {
            // The kernel would keep this mark for whatever the device is attached to next.
            Tools.shell("blockdev --setrw \"$1\"; losetup -d \"$1\"", loop);
        }
    }

    @Test
    void writerThatRunsIsNoticed() throws Exception {
        Path image = image();
        List<List<Object>> commands = readingCommands(image);
        Process writer = new ProcessBuilder("bash", "-c", "exec 3<>\"$1\"; echo; read", "bash", image.toString()).start();
        try {
            writer.getInputStream().read();
            for (List<Object> command : commands) {
                CommandRun run = lacuna(command.toArray());
                boolean look = command.get(0).equals("inspect");
                assertEquals(look ? 0 : 3, run.status(), command + ": " + run);
                assertTrue(run.out().contains("in use") || run.out().contains("open"), command + ": " + run);
            }
        } finally {
            writer.getOutputStream().close();
            writer.waitFor();
        }
    }
}
