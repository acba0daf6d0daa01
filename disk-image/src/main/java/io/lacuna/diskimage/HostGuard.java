package io.lacuna.diskimage;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.diskimage.ImageLocks.Role;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Everything that keeps an image from being changed by two at once, in its order: locks, users without locks, saved memory.
 * For a look only, what would stop a run is remarked.
 */
final class HostGuard {

    static final String BENEATH_HINT = "; or, if it is read only as the parent of running machines, say --mode punch, which "
            + "changes no table of the image and is the only mode that may run beneath them";

    private HostGuard() {
    }

    /** @return remarks, each a sentence */
    static List<String> ofImage(NativeFile file, Options options) throws IOException {
        Access access = options.access();
        List<String> remarks = access != Access.WRITE && options.held().holds(file) ? new ArrayList<>()
                : ofDataFile(file, options);
        if (access == Access.INSPECT) {
            SavedMemory.ofThisHost().find(file, remarks::add).ifPresent(sign -> remarks.add(sentence(sign)));
        } else if (access != Access.COPY) {
            SavedMemory.ofThisHost().refuse(file, remarks::add);
        }
        return remarks;
    }

    /**
     * @param remarks receives what could not be looked at
     * @return the sign that the machine's memory is saved; null if there is none
     */
    static String savedMemory(NativeFile file, List<String> remarks) throws IOException {
        return SavedMemory.ofThisHost().find(file, remarks::add).orElse(null);
    }

    /** @return remarks about a file that holds a part of an image's data */
    static List<String> ofDataFile(NativeFile file, Options options) throws IOException {
        Role role = options.access() != Access.WRITE ? Role.READER
                : options.beneathReaders() && ImageLocks.conflict(file, Role.WRITER).isPresent() ? Role.BENEATH : Role.WRITER;
        return guard(file, options.access(), role);
    }

    /** @return remarks about a parent, which is only read */
    static List<String> ofBackingFile(NativeFile file, Access access, HeldFiles held) throws IOException {
        return held.holds(file) ? List.of() : guard(file, access, Role.READER);
    }

    private static List<String> guard(NativeFile file, Access access, Role role) throws IOException {
        List<String> remarks = new ArrayList<>();
        if (access == Access.INSPECT) {
            ImageLocks.conflict(file, role).ifPresent(conflict -> remarks.add(sentence(conflict)));
            if (remarks.isEmpty()) {
                remarks.addAll(ImageUsers.remarks(file));
            }
            return remarks;
        }
        try {
            take(file, role).ifPresent(remarks::add);
            remarks.addAll(ImageUsers.check(file));
            file.measureAgain();
        } catch (UnsafeException e) {
            throw e.in(file.path());
        }
        return remarks;
    }

    private static Optional<String> take(NativeFile file, Role role) throws IOException {
        try {
            return ImageLocks.take(file, role);
        } catch (UnsafeException e) {
            if (role == Role.WRITER && ImageLocks.conflict(file, Role.BENEATH).isEmpty()) {
                throw new UnsafeException(e.what() + BENEATH_HINT);
            }
            throw e;
        }
    }

    static String sentence(String text) {
        return Character.toUpperCase(text.charAt(0)) + text.substring(1) + (text.endsWith(".") ? "" : ".");
    }
}
