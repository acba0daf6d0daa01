package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.CrashedGuest;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Crash images of busy file systems: what is freed in them is missed by no one, whoever repairs them. Each image is one of a
 * file system that has crashed before. {@code -Dlacuna.long=true} makes five times as many; {@code -Dlacuna.seed} repeats a
 * run's operations, though not its timing; {@code -Dlacuna.kinds} names the kinds to try, by number, and
 * {@code -Dlacuna.keep} the directory for an image that a proof fails for.
 */
class CrashTest {

    private static final int ROUNDS = Boolean.getBoolean("lacuna.long") ? 40 : 7;
    /** Of so many images one is also looked at as if the power had been cut right before its last commit block. */
    private static final int TORN = 3;

    /** Size, arguments of mke2fs, options of mount. */
    private static final String[][] KINDS = {
        {"16M", "-t ext4 -b 1024", "data=ordered"},
        {"16M", "-t ext4 -b 1024", "data=journal"},
        {"16M", "-t ext4 -b 1024", "data=writeback,commit=1"},
        {"16M", "-t ext4 -b 1024 -g 1024 -J size=4", "nodelalloc"},
        {"16M", "-t ext4 -b 1024 -g 1024 -O ^flex_bg", "data=journal"},
        {"20M", "-t ext4 -b 2048 -J size=2", "data=ordered"},
        {"32M", "-t ext4 -b 4096 -J size=4", "data=ordered"},
        {"32M", "-t ext4 -b 4096 -J size=4 -g 1024", "data=journal"},
        {"32M", "-t ext4 -b 4096 -J size=4 -O ^64bit,^metadata_csum,^uninit_bg", "data=writeback"},
        {"16M", "-t ext4 -b 1024 -O ^64bit", "discard"},
        {"16M", "-t ext4 -b 1024 -g 1024 -O ^64bit,^metadata_csum,uninit_bg", "journal_checksum"},
        {"16M", "-t ext4 -b 1024 -O 64bit,^metadata_csum", "journal_checksum,data=journal"},
        {"16M", "-t ext4 -b 1024 -O ^metadata_csum", "journal_async_commit,data=writeback"},
        {"16M", "-t ext4 -b 1024", "journal_async_commit,data=writeback"},
        {"16M", "-t ext4 -b 1024 -O bigalloc -C 4096", "data=ordered"},
        {"32M", "-t ext4 -b 4096 -J size=4 -O bigalloc -C 16384", "data=journal"},
        {"16M", "-t ext4 -b 1024 -O meta_bg,^resize_inode -g 512", "data=ordered"},
        {"16M", "-t ext4 -b 1024 -O sparse_super2,^resize_inode -g 1024", "data=ordered"},
        {"16M", "-t ext4 -b 1024 -O ^extents,^64bit", "data=ordered"},
        {"16M", "-t ext4 -b 1024 -O orphan_file,metadata_csum_seed,inline_data,ea_inode", "data=ordered"},
        {"16M", "-t ext4 -b 1024 -I 512 -O ^dir_index,large_dir", "dioread_lock"},
        {"16M", "-t ext3 -b 1024", "data=ordered"},
        {"16M", "-t ext3 -b 1024 -I 128 -g 1024", "data=journal"},
        {"32M", "-t ext3 -b 4096 -J size=4", "data=writeback"},
        {"16M", "-t ext4 -b 1024 -O fast_commit -J size=3", "data=ordered"},
        {"16M", "-t ext4 -b 1024 -O fast_commit,^metadata_csum -J size=3", "data=writeback"},
        {"40M", "-t ext4 -b 4096 -O fast_commit -J size=8", "data=ordered"},
    };

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private final long seed = Long.getLong("lacuna.seed", System.nanoTime());
    private final AtomicInteger images = new AtomicInteger();
    private final Map<String, AtomicInteger> seen = new ConcurrentHashMap<>();

    @Test
    void nothingInUseIsFreed() throws Exception {
        CrashedGuest.requireCrashes();
        ExecutorService threads = Executors.newFixedThreadPool(2);
        List<String> failures = new ArrayList<>();
        try {
            List<Future<?>> kinds = new ArrayList<>();
            for (int k : kinds()) {
                kinds.add(threads.submit(() -> {
                    crashOften(k);
                    return null;
                }));
            }
            for (Future<?> kind : kinds) {
                try {
                    kind.get();
                } catch (ExecutionException e) {
                    failures.add(String.valueOf(e.getCause()));
                }
            }
        } finally {
            threads.shutdownNow();
        }
        System.out.println("crash images: " + images + ", seed " + seed + ", with " + new TreeMap<>(seen));
        assertTrue(failures.isEmpty(), () -> "seed " + seed + "\n" + String.join("\n", failures));
        if (System.getProperty("lacuna.kinds") == null) {
            assertTrue(images.get() >= 200, "only " + images + " images");
            for (String what : List.of("transaction", "block", "revoked block", "fast commit", "image that gains",
                    "image cut in a transaction", "image without its last commit block")) {
                assertTrue(seen.containsKey(what), "no " + what + ", seed " + seed);
            }
        }
    }

    private static int[] kinds() {
        String kinds = System.getProperty("lacuna.kinds");
        return kinds == null ? IntStream.range(0, KINDS.length).toArray()
                : Arrays.stream(kinds.split(",")).mapToInt(Integer::parseInt).toArray();
    }

    private void crashOften(int kind) throws IOException {
        String options = KINDS[kind][1];
        String mountOptions = KINDS[kind][2];
        boolean fastCommits = options.contains("fast_commit");
        Random random = new Random(seed + kind);
        Path folder = Files.createDirectory(directory.resolve("kind" + kind));
        Path file = folder.resolve("busy.img");
        Tools.shell("truncate -s $2 \"$1\"; mke2fs -q -F $3 \"$1\"", file, KINDS[kind][0], options);
        for (int round = 0; round < ROUNDS; round++) {
            String name = "kind " + kind + ": " + options + ", " + mountOptions + ", round " + round;
            int work = random.nextInt(1 << 30);
            int length = 15 + random.nextInt(150);
            CrashedGuest.End end = round % 4 == 3 ? CrashedGuest.End.LOG_FLUSHED : CrashedGuest.End.POWER_CUT;
            try {
                CrashedGuest.crash(file, mountOptions, work, length, end);
            } catch (AssertionError e) {
                // Linux replays fast commits and then at times finds a checksum wrong, at its own work and before any of ours.
                if (!fastCommits || round == 0 || !e.getMessage().contains("mount: Bad message")) {
                    throw e;
                }
                see("image that the kernel does not take", 1);
                CrashedGuest.repair(file);
                CrashedGuest.crash(file, mountOptions, work, length, end);
            }
            CrashedVolume crashed = new CrashedVolume(Files.copy(file, folder.resolve("crash.img")));
            try {
                if (!prove(crashed, round % 2 == 0, fastCommits, name)) {
                    // What a kernel does not mount, or has marked, is of no use for a further round.
                    see("image that the kernel does not take", 1);
                    CrashedGuest.repair(file);
                } else if ((round + kind) % TORN == 0 && crashed.tearLastCommit()) {
                    see("image without its last commit block", 1);
                    prove(crashed, round % 4 < 2, fastCommits, name + ", torn");
                }
            } catch (AssertionError | IOException e) {
                keep(crashed, kind, round);
                throw e;
            }
            Files.delete(crashed.file());
        }
        Files.delete(file);
    }

    private void keep(CrashedVolume crashed, int kind, int round) throws IOException {
        String place = System.getProperty("lacuna.keep");
        if (place != null) {
            Files.copy(crashed.file(), Path.of(place, "crash-" + seed + "-" + kind + "-" + round + ".img"));
        }
    }

    /** @return whether the kernel can go on with it */
    private boolean prove(CrashedVolume crashed, boolean zeros, boolean fastCommits, String name) throws IOException {
        FreeSpace space;
        try {
            space = crashed.freeSpace();
        } catch (DiskFormatException e) {
            // Linux makes no good of some fast commits: it fills their area, or is cut in the first one, and mounts neither; or its
            // replay of earlier ones left blocks in use that the bitmaps call free.
            assertTrue(fastCommits && (e.getMessage().contains("marked as having errors")
                    || crashed.contradictsItself(e.getMessage())
                    || e.getMessage().matches("(?s).*(to its last block|expected complete, found cut).*")
                    && crashed.isNotMountable()), name + e);
            see("image that is refused", 1);
            return false;
        }
        count(space);
        if (LoggedByDebugfs.read(crashed.file()).isCut()) {
            see("image cut in a transaction", 1);
        }
        boolean mounted = crashed.requireSameWithout(space.free(), zeros, fastCommits, name);
        if (!fastCommits) {
            crashed.requireReplayedLikeDebugfs(name);
        }
        return mounted;
    }

    private void count(FreeSpace space) {
        images.incrementAndGet();
        Matcher counts = Pattern.compile("(\\d+) (\\w+(?: \\w+)?)").matcher(space.evidence().get(0));
        while (counts.find()) {
            see(counts.group(2).replaceFirst("s$", "").replaceFirst("s on$", ""), Integer.parseInt(counts.group(1)));
        }
        if (!space.free().isEmpty()) {
            see("image that gains", 1);
        }
        assertEquals("free before and after the replay", space.evidence().get(1));
    }

    private void see(String what, int count) {
        seen.computeIfAbsent(what, any -> new AtomicInteger()).addAndGet(count);
    }
}
