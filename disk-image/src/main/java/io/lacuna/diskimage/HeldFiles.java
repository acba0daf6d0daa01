package io.lacuna.diskimage;

import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The files that one run holds under locks already. Where such a file is met again, as the parent of another image of the same
 * run, it is only read: a second lock would collide with the first, for the kernel counts by open file and not by process.
 */
public final class HeldFiles {

    private final CopyOnWriteArrayList<FileStatus> files = new CopyOnWriteArrayList<>();

    void add(NativeFile file) {
        files.add(file.status());
    }

    void remove(NativeFile file) {
        // Not by equals(): to link a record's costs a start tens of milliseconds.
        files.removeIf(file.status()::isSameFileAs);
    }

    boolean holds(NativeFile file) {
        return files.stream().anyMatch(file.status()::isSameFileAs);
    }
}
