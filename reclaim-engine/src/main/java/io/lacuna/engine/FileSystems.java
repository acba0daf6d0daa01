package io.lacuna.engine;

import io.lacuna.blockio.FileSystemProbe;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;

/** The file systems that can be read, as far as their modules are on the class path. */
final class FileSystems {

    private static List<FileSystemProbe> probes;

    private FileSystems() {
    }

    static synchronized List<FileSystemProbe> probes() {
        if (probes == null) {
            List<FileSystemProbe> found = new ArrayList<>();
            for (FileSystemProbe probe : ServiceLoader.load(FileSystemProbe.class, FileSystems.class.getClassLoader())) {
                found.add(probe);
            }
            probes = List.copyOf(found);
        }
        return probes;
    }
}
