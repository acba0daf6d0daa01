package io.lacuna.engine;

import io.lacuna.blockio.FileSystemProbe;
import io.lacuna.blockio.Services;
import java.util.List;

/** The file systems that can be read, as far as their modules are on the class path. */
final class FileSystems {

    private static List<FileSystemProbe> probes;

    private FileSystems() {
    }

    static synchronized List<FileSystemProbe> probes() {
        if (probes == null) {
            probes = Services.of(FileSystemProbe.class);
        }
        return probes;
    }
}
