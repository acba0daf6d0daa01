package io.lacuna.engine;

import io.lacuna.diskimage.write.OutputFormat;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * How to copy.
 *
 * @param to the format of the copy
 * @param format the source's format; null to look for its signature
 * @param allowedBackingDirectories where the source's parents and data files may lie besides its own directory
 * @param includes what to leave out besides the free space of file systems
 * @param compress whether to compress; only where {@link OutputFormat#canCompress()}
 * @param keepChain whether the copy stands on the source's parent and holds only what the source itself does; only where
 *     {@link OutputFormat#canHaveParent()}. Else the copy holds the whole disk
 * @param force whether an existing file may be replaced
 * @param replayJournal the caller's word that the source's guest will boot, and not resume: journals may be replayed in memory
 */
public record CopyOptions(OutputFormat to, String format, List<Path> allowedBackingDirectories,
        Set<ReclaimOptions.Include> includes, boolean compress, boolean keepChain, boolean force,
        boolean replayJournal) {

    /** @throws IllegalArgumentException if the format cannot do what is asked, in a sentence for the user */
    public CopyOptions {
        allowedBackingDirectories = List.copyOf(allowedBackingDirectories);
        includes = Set.copyOf(includes);
        if (compress && !to.canCompress()) {
            throw new IllegalArgumentException(to.word() + " cannot be compressed; qcow2 and vmdk-stream can");
        }
        if (keepChain && !to.canHaveParent()) {
            throw new IllegalArgumentException("only a copy in qcow2 can keep the chain, not one in " + to.word());
        }
    }

    /** @return plain options: the whole disk, nothing compressed, nothing replaced */
    public static CopyOptions to(OutputFormat format) {
        return new CopyOptions(format, null, List.of(), Set.of(), false, false, false, false);
    }
}
