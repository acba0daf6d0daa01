package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.commons.io.IOUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every image of the collection through the whole machine. What is expected of each stands in {@code corpus.tsv}: path, verdict,
 * and per volume what it is and whether it is used; or the start of the reason. The table was made by a run and then read against
 * the collection's own index, line by line; a line that changes needs the same.
 */
class CorpusTest {

    private static final long LIMIT_MILLIS = 20_000;
    private static final int REASON = 40;

    @TempDir
    Path directory;

    @Test
    void everyImageIsReadRightOrRefused() throws IOException {
        Map<String, String> expected = expected();
        Map<String, String> found = new TreeMap<>();
        for (String name : names()) {
            found.put(name, outcome(name));
        }
        Path actual = Path.of("target", "corpus.tsv");
        Files.writeString(actual, found.entrySet().stream().map(entry -> entry.getKey() + "\t" + entry.getValue() + "\n")
                .collect(Collectors.joining()));
        List<String> wrong = new ArrayList<>();
        for (Map.Entry<String, String> entry : found.entrySet()) {
            if (!entry.getValue().equals(expected.get(entry.getKey()))) {
                wrong.add(entry.getKey() + ": expected " + expected.get(entry.getKey()) + ", found " + entry.getValue());
            }
        }
        assertEquals(List.of(), wrong, "all outcomes are in " + actual.toAbsolutePath());
    }

    private static Map<String, String> expected() throws IOException {
        Map<String, String> table = new TreeMap<>();
        for (String line : IOUtils.resourceToString("/corpus.tsv", StandardCharsets.UTF_8).split("\n")) {
            int tab = line.indexOf('\t');
            if (tab > 0) {
                table.put(line.substring(0, tab), line.substring(tab + 1));
            }
        }
        return table;
    }

    private static List<String> names() throws IOException {
        Path root = Corpus.root();
        try (Stream<Path> files = Files.walk(root)) {
            return files.filter(Files::isRegularFile).filter(file -> !file.getParent().equals(root))
                    .map(file -> root.relativize(file).toString()).sorted().toList();
        }
    }

    private String outcome(String name) throws IOException {
        Path place = Files.createDirectory(directory.resolve("unpacked"));
        try {
            Path image = Corpus.unpack(name, place);
            String before = state(image);
            long start = System.nanoTime();
            ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().purpose(ReclaimOptions.Purpose.DRY_RUN).build());
            long millis = (System.nanoTime() - start) / 1_000_000;
            assertNotEquals(ImageReport.Verdict.FAILED, report.verdict(), name + ": " + report.reason());
            assertEquals(true, millis < LIMIT_MILLIS, name + " took " + millis + " ms");
            assertEquals(before, state(image), name);
            reclaim(name, image, report);
            return describe(report, place);
        } finally {
            try (Stream<Path> files = Files.walk(place)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** For real: what is refused, or has nothing to give, stays as it is, and of the others nothing but free bytes goes. */
    private static void reclaim(String name, Path image, ImageReport planned) throws IOException {
        boolean changes = planned.verdict() == ImageReport.Verdict.RECLAIMED;
        Path before = image.resolveSibling("before");
        String state = state(image);
        if (changes) {
            before = toRaw(planned.format(), image, before);
        }
        ImageReport done = ReclaimRun.run(image, ReclaimOptions.builder().build());
        assertEquals(planned.verdict(), done.verdict(), name + ": " + done.reason());
        assertEquals(planned.plannedBytes(), done.plannedBytes(), name);
        if (!changes) {
            assertEquals(state, state(image), name);
            return;
        }
        Path after = toRaw(planned.format(), image, image.resolveSibling("after"));
        List<GuestVolume> volumes = new ArrayList<>();
        List<Long> offsets = new ArrayList<>();
        for (VolumeReport volume : planned.volumes()) {
            if (!volume.skipped()) {
                volumes.add(cut(before, volume));
                offsets.add(volume.offset());
                assertEquals(check(volumes.get(volumes.size() - 1)), check(cut(after, volume)), name);
            }
        }
        GuestDisk disk = new GuestDisk(before, volumes, offsets);
        assertEquals(List.of(), disk.differences(after, disk.free(), ExtentSet.EMPTY), name);
    }

    private static Path toRaw(String format, Path image, Path raw) {
        Tools.require("qemu-img");
        Tools.ok("qemu-img", "convert", "-f", format, "-O", "raw", image.toString(), raw.toString());
        return raw;
    }

    private static GuestVolume cut(Path raw, VolumeReport volume) {
        Path part = raw.resolveSibling(raw.getFileName() + "." + volume.offset());
        Tools.shell("dd if=\"$1\" of=\"$2\" bs=64K iflag=skip_bytes,count_bytes skip=$3 count=$4 conv=sparse status=none; "
                + "truncate -s $4 \"$2\"", raw, part, volume.offset(), volume.length());
        return new GuestVolume(part, volume.type().equals("ntfs"));
    }

    /** Most of these file systems were damaged on purpose: their checker must say the same of them as before. */
    private static String check(GuestVolume volume) {
        String said = volume.isNtfs() ? Tools.shell("ntfsfix -n \"$1\" || true", volume.file())
                : Tools.shell("e2fsck -fn \"$1\" 2>&1 || true", volume.file());
        return said.replace(volume.file().toString(), "").replaceAll("before\\.\\d+|after\\.\\d+", "");
    }

    private static String state(Path image) throws IOException {
        return Files.readAttributes(image, "unix:size,ino,lastModifiedTime,ctime").toString();
    }

    private static String describe(ImageReport report, Path place) {
        String volumes = report.volumes().stream()
                .map(volume -> volume.type() + (volume.skipped() ? " skipped: " + start(volume.reason(), place) : ""))
                .collect(Collectors.joining("; "));
        String what = volumes.isEmpty() ? start(String.valueOf(report.reason()), place) : volumes;
        return report.verdict().word() + "\t" + report.format() + "\t" + what;
    }

    /** The start of a sentence, without the places of this run. */
    private static String start(String reason, Path place) {
        String text = reason.replace(place.toString() + "/", "").replaceAll("[\\t\\n]", " ");
        return text.substring(0, Math.min(REASON, text.length()));
    }
}
