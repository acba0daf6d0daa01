package io.lacuna.diskimage;

import io.lacuna.fixtures.Tools;
import java.io.Closeable;
import java.nio.file.Path;

/** A file system of its own, in a file, mounted. Skips the running test, aloud, where that is not possible. */
final class LoopMount implements Closeable {

    private final Path place;

    /** @param make command that makes a file system in the file that is its last argument */
    LoopMount(Path folder, String size, String mountOptions, String... make) {
        Tools.requireLoopDevices();
        Tools.require(make[0]);
        Path file = folder.resolve("fs.img");
        place = folder.resolve("mounted");
        Tools.shell("truncate -s \"$1\" \"$2\"; mkdir \"$3\"", size, file, place);
        String[] command = new String[make.length + 1];
        System.arraycopy(make, 0, command, 0, make.length);
        command[make.length] = file.toString();
        Tools.ok(command);
        Tools.Result mounted = Tools.run("mount", "-o", "loop" + mountOptions, file.toString(), place.toString());
        if (mounted.status() != 0) {
            System.out.println("SKIPPED: this kernel does not mount " + make[0] + ": " + mounted.output().strip());
        }
        org.junit.jupiter.api.Assumptions.assumeTrue(mounted.status() == 0, "cannot mount " + make[0]);
    }

    Path place() {
        return place;
    }

    @Override
    public void close() {
        Tools.ok("umount", place.toString());
    }
}
