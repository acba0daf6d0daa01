package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.CrashedGuest;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CommandTest {

    @TempDir
    static Path shared;

    private static Path volume;

    @TempDir
    Path directory;

    private String out;
    private String err;

    @BeforeAll
    static void makeVolume() throws IOException {
        volume = GuestVolume.ext(shared, "volume", 16 << 20, "-t ext4").file();
    }

    private int lacuna(String... arguments) {
        return lacuna(false, false, arguments);
    }

    private int lacuna(boolean errIsTerminal, boolean outIsTerminal, String... arguments) {
        ByteArrayOutputStream outBytes = new ByteArrayOutputStream();
        ByteArrayOutputStream errBytes = new ByteArrayOutputStream();
        PrintStream outStream = new PrintStream(outBytes, true, StandardCharsets.UTF_8);
        PrintStream errStream = new PrintStream(errBytes, true, StandardCharsets.UTF_8);
        int status = Main.run(arguments, outStream, errStream, new Terminal(errStream, errIsTerminal), outIsTerminal);
        outStream.flush();
        errStream.flush();
        out = outBytes.toString(StandardCharsets.UTF_8);
        err = errBytes.toString(StandardCharsets.UTF_8);
        return status;
    }

    private String image(String name) {
        Path image = directory.resolve(name);
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; sync \"$2\"", volume, image);
        return image.toString();
    }

    private String jq(String filter) throws IOException {
        Tools.require("jq");
        return Tools.okWithInput(out, "jq", "-r", filter).strip();
    }

    @ParameterizedTest
    @ValueSource(strings = {"--version", "-V"})
    void version(String option) {
        assertEquals(0, lacuna(option));
        assertTrue(out.matches("lacuna \\d+\\.\\d+\\.\\d+\\s*"), out);
    }

    @Test
    void helpHasExamplesForEveryCommand() {
        assertEquals(0, lacuna("--help"));
        assertTrue(out.contains("inspect") && out.contains("reclaim") && out.contains("First steps"), out);
        for (String command : new String[] {"inspect", "reclaim", "copy", "undo", "verify", "keygen"}) {
            assertEquals(0, lacuna(command, "--help"));
            assertTrue(out.contains("Examples:") && out.contains("Exit status"), out);
            String[] lines = out.split("\n");
            for (int i = Arrays.asList(lines).indexOf("Examples:") + 1; !lines[i].isEmpty(); i++) {
                assertTrue(lines[i].startsWith("  lacuna "), "an example that is wider than a terminal: " + lines[i]);
            }
            assertFalse(out.matches("(?s).*(--?[a-z-]+), \\1\\b.*"), "an option named twice: " + out);
        }
    }

    @Test
    void whoForgetsTheCommandIsToldWhichThereAre() {
        assertEquals(2, lacuna(image("vm.raw")));
        assertTrue(err.contains("vm.raw' is none of the commands: inspect, reclaim, copy, undo"), err);
    }

    @Test
    void aDirectoryWithoutImagesIsNamed() {
        assertEquals(0, lacuna("reclaim", directory.toString()));
        assertEquals("lacuna: no disk image in " + directory + "\n", err);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "reclaim", "frobnicate x", "reclaim --mode zap x", "reclaim --granularity 100 x",
        "reclaim --granularity 2TiB x",
        "reclaim --min-extent much x", "reclaim --jobs 0 x", "reclaim --include everything x", "reclaim --frob x",
        "inspect --dry-run x", "verify --cross-check x", "verify --replay-journal x",
        "reclaim --format x86 y", "reclaim --children nowhere x"})
    void wrongUsageIsStatus2AndSaysWhy(String arguments) {
        assertEquals(2, lacuna(arguments.isEmpty() ? new String[0] : arguments.split(" ")));
        assertTrue(err.contains("lacuna") && out.isEmpty(), out + err);
    }

    /** As a script leaves them whose variable is not set: Java takes an empty name for the current directory. */
    @Test
    void anEmptyNameIsNoDirectory() {
        for (String[] arguments : new String[][] {{"reclaim", "--dry-run", ""}, {"inspect", ""}, {"inspect", "x", ""},
            {"inspect", "--allow-backing", "", "x"}, {"reclaim", "--children", "", "x"}, {"reclaim", "--report", "", "x"},
            {"reclaim", "--undo", "", "x"}, {"copy", "", "x.raw"}, {"copy", "x", "", "--to", "raw"}, {"undo", ""}, {"verify", ""},
            {"verify", "x", ""}, {"keygen", ""}}) {
            assertEquals(2, lacuna(arguments), () -> String.join(" ", arguments));
            assertTrue(err.contains("''") || err.contains("an empty name"), () -> String.join(" ", arguments) + ": " + err);
            assertEquals("", out);
        }
    }

    @Test
    void reclaimInWords() {
        String image = image("vm.raw");
        assertEquals(0, lacuna("reclaim", image));
        assertTrue(out.contains("reclaimed ") && out.contains("(ext4)"), out);
        assertEquals("", err);
        assertEquals(0, lacuna("reclaim", image));
        assertTrue(out.contains("nothing to reclaim"), out);
    }

    @Test
    void zerosGoWhenAskedFor() throws IOException {
        String image = directory.resolve("zeros.raw").toString();
        Tools.shell("head -c 3M /dev/urandom > \"$1\"; dd if=/dev/zero of=\"$1\" bs=4096 seek=200 count=100 conv=notrunc "
                + "status=none; sync",
                image);
        assertEquals(3, lacuna("reclaim", image));
        assertEquals(0, lacuna("reclaim", "--zeroes", "--json", image));
        assertEquals("reclaimed 409600 409600 skipped",
                jq(".images[0] | \"\\(.verdict) \\(.zeroBytes) \\(.plannedBytes) \\(.volumes[0].status)\""));
    }

    @Test
    void jsonHasTheDocumentedFields() throws IOException {
        assertEquals(0, lacuna("reclaim", "--dry-run", "--json", image("vm.raw")));
        assertEquals("lacuna.report/1 true", jq("\"\\(.schema) \\(.dryRun)\""));
        assertEquals("dryRun images schema tool", jq("keys | join(\" \")"));
        for (String field : ("path format virtualSize verdict reason hostBytesBefore hostBytesAfter plannedBytes elapsedMillis "
                + "volumes").split(" ")) {
            assertEquals("true", jq(".images[0] | has(\"" + field + "\")"), field);
        }
        for (String field : ("index offset length scheme type status reason freeBytes reclaimableBytes freeExtents "
                + "notReclaimable").split(" ")) {
            assertEquals("true", jq(".images[0].volumes[0] | has(\"" + field + "\")"), field);
        }
        assertEquals("raw reclaimed none ext4",
                jq(".images[0] | \"\\(.format) \\(.verdict) \\(.volumes[0].scheme) \\(.volumes[0].type)\""));
        assertEquals("true", jq(".images[0].volumes[0] | .freeBytes == .reclaimableBytes + ([.notReclaimable[].bytes] | add // "
                + "0)"));
        String planned = jq(".images[0].plannedBytes");
        assertEquals(0, lacuna("reclaim", "--json", directory.resolve("vm.raw").toString()));
        assertEquals(planned, jq(".images[0].plannedBytes"));
    }

    @Test
    void reportFileHoldsTheSameDocument() throws IOException {
        Path report = directory.resolve("report.json");
        assertEquals(0, lacuna("reclaim", "--json", "--report", report.toString(), image("vm.raw")));
        assertEquals(out, Files.readString(report));
    }

    @Test
    void unwritableReportEndsTheRunBeforeAnyChange() throws IOException {
        String image = image("vm.raw");
        String blocks = Tools.ok("stat", "-c", "%b %y", image);
        assertEquals(1, lacuna("reclaim", "--report", "/proc/none/report.json", image));
        assertTrue(err.contains("report"), err);
        assertEquals(blocks, Tools.ok("stat", "-c", "%b %y", image));
    }

    @Test
    void reportNeverReplacesWhatIsNoReport() throws IOException {
        String image = image("vm.raw");
        String other = image("other.raw");
        String state = Tools.ok("sha256sum", image, other);
        assertEquals(1, lacuna("reclaim", "--report", other, image));
        assertTrue(err.contains("not a report"), err);
        assertEquals(state, Tools.ok("sha256sum", image, other));

        assertEquals(1, lacuna("reclaim", "--report", "/dev/null", image));
        assertTrue(Files.exists(Path.of("/dev/null")) && !Files.isRegularFile(Path.of("/dev/null")));
        assertEquals(1, lacuna("reclaim", "--report", directory.toString(), image));

        Path report = Files.createFile(directory.resolve("report.json"));
        assertEquals(0, lacuna("reclaim", "--dry-run", "--report", report.toString(), image));
        assertEquals(0, lacuna("reclaim", "--dry-run", "--json", "--report", report.toString(), image));
        assertEquals(out, Files.readString(report));
    }

    @Test
    void reportIsNeverWrittenThroughALink() throws IOException {
        String image = image("vm.raw");
        Path victim = Files.writeString(directory.resolve("victim"), "");
        Path report = Files.createSymbolicLink(directory.resolve("report.json"), victim);
        assertEquals(0, lacuna("reclaim", "--dry-run", "--report", report.toString(), image));
        assertEquals("", Files.readString(victim));
        assertTrue(Files.isRegularFile(report, java.nio.file.LinkOption.NOFOLLOW_LINKS), "the link was replaced");
    }

    @Test
    void pipeGetsLinesAndATerminalATableWhereverTheProgressBarGoes() {
        String image = image("vm.raw");
        assertEquals(0, lacuna(true, false, "reclaim", "--dry-run", image));
        assertTrue(out.startsWith(image + ": raw (probed), 16.0 MiB disk, "), out);
        assertTrue(out.contains("\n" + image + ": (ext4): "), out);
        assertEquals(0, lacuna(false, true, "reclaim", "--dry-run", image));
        assertTrue(out.contains("status") && out.contains("used"), out);
    }

    /** What a cron job's mail does not say, nobody reads. */
    @Test
    void pipeSaysWhatWasFoundOfAVolumeAndHowTheFormatWasTold() {
        Tools.require("mkntfs");
        Path image = directory.resolve("vm.raw");
        Tools.shell("truncate -s 8M \"$1\"; mkntfs -F -q \"$1\" > /dev/null", image);
        assertEquals(0, lacuna("reclaim", "--dry-run", "--format", "raw", image.toString()));
        assertTrue(out.startsWith(image + ": raw (fixed), "), out);
        assertTrue(out.contains("\n" + image + ": note: The journal ($LogFile) is empty"), out);
        assertEquals(0, lacuna("reclaim", "--json", image.toString()));
        assertTrue(out.contains("\"formatSource\":\"probed\"") || out.contains("\"formatSource\" : \"probed\""), out);
    }

    @Test
    void progressBarIsDrawnOnATerminalAndTakenAwayAgain() {
        assertEquals(0, lacuna(true, false, "reclaim", image("vm.raw")));
        assertTrue(err.contains("vm.raw [") && err.contains(" %") && err.endsWith(" \r"), err);
    }

    @Test
    void imageMayBeCalledLikeAnArgumentFile() throws IOException {
        Path list = directory.resolve("list");
        Files.writeString(list, "--version");
        assertEquals(1, lacuna("reclaim", "@" + list));
        assertTrue(out.contains("no such file"), out + err);
    }

    @Test
    void oneFailureNeverStopsTheRestAndTheWorstStatusCounts() throws IOException {
        Path junk = directory.resolve("junk.raw");
        Files.write(junk, new byte[1 << 20]);
        Path missing = directory.resolve("missing.raw");
        String good = image("good.raw");
        assertEquals(3, lacuna("reclaim", junk.toString(), good));
        assertTrue(out.contains("refused, nothing changed") && out.contains("reclaimed "), out);
        assertEquals(1, lacuna("reclaim", missing.toString(), junk.toString(), image("other.raw")));
        assertTrue(out.contains("no such file") && out.contains("1 refused, 1 failed"), out);
    }

    @Test
    void directoryStandsForTheImagesInIt() throws IOException {
        image("a.raw");
        Files.createDirectory(directory.resolve("sub"));
        Tools.shell("qemu-img convert -O qcow2 \"$1\" \"$2\"", volume, directory.resolve("sub/overlay.snap1"));
        Files.writeString(directory.resolve("notes.txt"), "no image");
        assertEquals(0, lacuna("reclaim", "--dry-run", "--json", directory.toString()));
        assertEquals("raw qcow2", jq("[.images[].format] | join(\" \")"));
    }

    @Test
    void inspectShowsATableAndLeavesTheImageAlone() throws IOException {
        String image = image("vm.raw");
        String times = Tools.ok("stat", "-c", "%x %y %z %b", image);
        assertEquals(0, lacuna("inspect", image));
        assertTrue(out.contains("reclaimable") && out.contains("ext4") && out.contains("would reclaim"), out);
        assertEquals(times, Tools.ok("stat", "-c", "%x %y %z %b", image));
    }

    @Test
    void inspectShowsTheChain() {
        Tools.require("qemu-img");
        String base = image("base.raw");
        String top = directory.resolve("top.qcow2").toString();
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top);
        assertEquals(0, lacuna("inspect", top));
        assertTrue(out.contains("backing: " + base + " (raw"), out);
    }

    @Test
    void granularityAndMinimumExtentLeaveMore() throws IOException {
        String image = image("vm.raw");
        lacuna("reclaim", "--dry-run", "--json", image);
        long all = Long.parseLong(jq(".images[0].plannedBytes"));
        // In a range of 512 KiB there is such a block wherever it lies; where it does is the kernel's choice.
        lacuna("reclaim", "--dry-run", "--json", "--granularity", "256KiB", image);
        long coarse = Long.parseLong(jq(".images[0].plannedBytes"));
        lacuna("reclaim", "--dry-run", "--json", "--min-extent", "512KiB", image);
        long few = Long.parseLong(jq(".images[0].plannedBytes"));
        assertTrue(coarse < all && few < all && coarse > 0 && few > 0, all + " " + coarse + " " + few);
    }

    @Test
    void anOpenedTerminalSeesNoControlCharactersOfAGuest() {
        String image = image("vm.raw");
        Tools.ok("tune2fs", "-L", "a\u001b[2Jb", image);
        assertEquals(0, lacuna("inspect", image));
        assertFalse(out.contains("\u001b"), out);
    }

    /** A block of a file that the bitmap calls free, with all its checksums and counts made right. */
    @Test
    void crossCheck() throws IOException {
        Tools.require("dumpe2fs", "debugfs");
        String image = image("crossed.raw");
        Tools.shell("""
                number() { dumpe2fs -h "$1" 2> /dev/null | sed -n "s/^$2: *//p"; }
                block=$(debugfs -R 'blocks /keep/large' "$1" 2> /dev/null | awk '{ print $NF }')
                group=$(( (block - $(number "$1" 'First block')) / $(number "$1" 'Blocks per group') ))
                free=$(dumpe2fs "$1" 2> /dev/null | sed -n 's/^  \\([0-9]*\\) free blocks, .*/\\1/p' | sed -n $((group + 1))p)
                printf '%s\\n' "freeb $block" "set_bg $group free_blocks_count $((free + 1))" > "$1.script"
                printf '%s\\n' "set_bg $group checksum calc" >> "$1.script"
                debugfs -w -f "$1.script" "$1" > /dev/null 2>&1; rm "$1.script"; sync "$1"
                """, image);
        assertEquals(0, lacuna("reclaim", "--dry-run", image));
        for (String command : new String[] {"inspect", "reclaim"}) {
            assertEquals(3, lacuna(command, "--cross-check", "--json", image), out);
            assertEquals("skipped", jq(".images[0].volumes[0].status"));
            assertTrue(jq(".images[0].volumes[0].reason").matches(
                    "ext block bitmap: blocks? [0-9 to]+ of inode \\d+, .*e2fsck -f.*"), out);
        }
        assertEquals(0, lacuna("copy", "--cross-check", image, directory.resolve("copy.qcow2").toString()));
        assertTrue(out.contains("copied whole: ext block bitmap: block"), out);

        assertEquals(0, lacuna("reclaim", "--cross-check", "--json", image("sound.raw")));
        assertTrue(jq(".images[0].volumes[0].evidence[-2]").matches("cross-checked: \\d+ inodes with .* none of them free"), out);
        assertTrue(jq(".images[0].volumes[0].evidence[-1]").matches("the cross-check took \\d+ ms"), out);
    }

    /** A crashed guest: refused, reclaimed on the caller's word, and the same guest afterwards. */
    @Test
    void replayJournal() throws IOException {
        CrashedGuest.requireCrashes();
        Path guest = directory.resolve("guest.raw");
        Tools.shell("truncate -s 24M \"$1\"; mke2fs -q -F -t ext4 -b 1024 -E nodiscard \"$1\"", guest);
        for (int crash = 0; crash < 2; crash++) {
            CrashedGuest.crash(guest, "data=ordered", crash, 150, CrashedGuest.End.POWER_CUT);
        }
        // All of it stored, so that there is something to gain.
        Path image = directory.resolve("crashed.raw");
        Tools.shell("cp --sparse=never \"$1\" \"$2\"; sync \"$2\"", guest, image);
        for (String command : new String[] {"inspect", "reclaim"}) {
            assertEquals(3, lacuna(command, "--json", image.toString()), out);
            assertTrue(jq(".images[0].volumes[0].reason").contains("--replay-journal"), out);
        }
        assertEquals(0, lacuna("inspect", "--replay-journal", image.toString()), out);
        assertTrue(out.contains("replayed in memory, on your word"), out);
        assertEquals(-1, Files.mismatch(guest, image));
        Path copy = directory.resolve("copy.raw");
        assertEquals(0, lacuna("copy", image.toString(), copy.toString()), out);
        assertTrue(out.contains("copied whole: the ext4 file system has a journal"), out);
        assertEquals(0, lacuna("copy", "--force", "--replay-journal", image.toString(), copy.toString()), out);
        assertTrue(out.contains("left out"), out);

        assertEquals(0, lacuna("reclaim", "--replay-journal", "--json", image.toString()), out);
        assertEquals("reclaimed", jq(".images[0].volumes[0].status"));
        assertTrue(jq(".images[0].volumes[0].evidence[0]").matches("journal replayed in memory: \\d+ transactions?, \\d+ "
                + "blocks?.*"), out);
        assertTrue(Long.parseLong(jq(".images[0].hostBytesBefore")) - Long.parseLong(jq(".images[0].hostBytesAfter")) > 1 << 20,
                out);
        CrashedGuest.Repair repair = CrashedGuest.repair(guest);
        assertTrue(repair.isComplete(), repair.said());
        for (Path reclaimed : new Path[] {image, copy}) {
            assertEquals(repair, CrashedGuest.repair(reclaimed));
            assertTrue(CrashedGuest.requireSameTrees(guest, reclaimed, "ro", reclaimed.toString()));
        }
    }

    @Test
    void theTreeIsShownAboveAndBelow() throws IOException {
        Tools.require("qemu-img", "jq");
        Path base = Path.of(image("base.raw")).toRealPath();
        Path middle = base.resolveSibling("middle.qcow2");
        Path top = base.resolveSibling("top.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.toString(), "-F", "raw", middle.toString());
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", middle.toString(), "-F", "qcow2", top.toString());
        assertEquals(0, lacuna("inspect", base.toString()));
        assertTrue(out.contains("\n  child: " + middle + " (beside the image, not in use)\n    child: " + top
                + " (beside the image, not in use)\n"), out);
        assertEquals(0, lacuna("inspect", middle.toString()));
        assertTrue(out.contains("backing: " + base) && out.contains("child: " + top), out);
        assertEquals(0, lacuna("reclaim", "-n", "--children", middle.toString(), "--children", top.toString(), base.toString()));
        assertTrue(out.contains(base + ": child: " + middle + " (named, not in use)\n"), out);
        assertEquals(0, lacuna("reclaim", "-n", "--json", base.toString()));
        assertEquals(middle + " " + base + " false beside the image",
                jq(".images[0].children[0] | \"\\(.path) \\(.base) \\(.running) \\(.relation)\""));
    }
}
