package io.lacuna.fs.ext;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.Tools;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What e2fsprogs' dumpe2fs calls free: an independent reader of the same bitmaps. */
final class DumpE2fs {

    private static final Pattern RANGE = Pattern.compile("(\\d+)(?:-(\\d+))?");

    private DumpE2fs() {
    }

    static ExtentSet free(Path image) {
        Tools.require("dumpe2fs");
        return parse(Tools.ok("dumpe2fs", image.toString()));
    }

    static ExtentSet parse(String output) {
        long blockSize = number(output, "Block size");
        long blockCount = number(output, "Block count");
        long clusterSize = output.contains("\nCluster size:") ? number(output, "Cluster size") : blockSize;
        ExtentSet.Builder free = ExtentSet.builder();
        boolean inGroup = false;
        for (String line : output.split("\n")) {
            // The header has a "Free blocks:" too, which is a count.
            inGroup |= line.startsWith("Group ");
            if (inGroup && line.startsWith("  Free blocks:")) {
                Matcher range = RANGE.matcher(line.substring("  Free blocks:".length()));
                while (range.find()) {
                    long first = Long.parseLong(range.group(1));
                    long last = range.group(2) == null ? first : Long.parseLong(range.group(2));
                    // Under bigalloc a range ends with the first block of its last cluster.
                    long end = Math.min(last + clusterSize / blockSize, blockCount);
                    free.add(first * blockSize, Math.max(0, end - first) * blockSize);
                }
            }
        }
        return free.build();
    }

    private static long number(String output, String field) {
        Matcher line = Pattern.compile("(?m)^" + field + ":\\s+(\\d+)$").matcher(output);
        if (!line.find()) {
            throw new AssertionError("dumpe2fs printed no " + field + ":\n" + output);
        }
        return Long.parseLong(line.group(1));
    }
}
