package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Crash images of busy file systems: what is freed in them is missed by no one, whoever repairs them. */
class CrashTest {

    private static final int ROUNDS = Integer.getInteger("lacuna.crash.rounds", 9);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            16M | -t ext4 -b 1024 | data=ordered
            """)
    void nothingInUseIsFreed(String size, String options, String mountOptions) throws IOException {
        CrashedVolume.requireCrashes();
        long seed = Long.getLong("lacuna.seed", System.nanoTime());
        Random random = new Random(seed);
        Path file = directory.resolve("busy.img");
        Tools.shell("truncate -s $2 \"$1\"; mke2fs -q -F $3 \"$1\"", file, size, options);
        int freed = 0;
        for (int round = 0; round < ROUNDS; round++) {
            String name = options + ", " + mountOptions + ", seed " + seed + ", round " + round;
            CrashedVolume.crash(file, mountOptions, random.nextInt(1 << 30), 20 + random.nextInt(120), round % 4 == 3 ? 1 : 2);
            CrashedVolume crashed = new CrashedVolume(Files.copy(file, directory.resolve("crash.img")));
            long t=System.nanoTime();
            FreeSpace space = crashed.freeSpace();
            System.out.println(name + " " + space.free().totalBytes() + " " + space.evidence());
            crashed.requireSameWithout(space.free(), round % 2 == 0, name);
            System.out.println((System.nanoTime() - t) / 1000000);
            freed += space.free().isEmpty() ? 0 : 1;
            Files.delete(crashed.file());
        }
        assertTrue(freed > ROUNDS / 2, options + ": nothing freed");
    }
}
