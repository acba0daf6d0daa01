package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FileSystemProbe;
import io.lacuna.blockio.VolumeOptions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/** Finds NTFS (versions 1.2, 3.0 and 3.1: Windows NT 4 and everything since). */
public final class NtfsProbe implements FileSystemProbe {

    /** Required by {@link java.util.ServiceLoader}. */
    public NtfsProbe() {
    }

    /** {@inheritDoc} The signature is "NTFS" and four blanks at byte 3; BitLocker's and ReFS' are others. */
    @Override
    public Optional<String> recognise(BlockSource volume) throws IOException {
        byte[] signature = NtfsBootSector.SIGNATURE.getBytes(StandardCharsets.ISO_8859_1);
        if (volume.size() < NtfsBootSector.SIZE) {
            return Optional.empty();
        }
        ByteBuffer found = ByteBuffer.allocate(signature.length);
        volume.read(NtfsBootSector.SIGNATURE_AT, found);
        return Arrays.equals(found.array(), signature) ? Optional.of(NtfsFileSystem.TYPE) : Optional.empty();
    }

    /**
     * Reads the boot sector, the MFT's first records and the label. Whether the volume is in doubt (dirty, hibernated, with
     * shadow copies …) is answered by {@link FileSystem#freeSpace()}, so that a report can name the volume all the same.
     *
     * @throws DiskFormatException if the boot sector or the MFT's own record contradict themselves
     */
    @Override
    public FileSystem open(BlockSource volume, VolumeOptions options) throws IOException {
        try {
            return NtfsFileSystem.open(volume, options);
        } catch (CorruptException e) {
            throw withAdvice(e);
        }
    }

    /** Says what helps against damage, wherever it is. */
    static CorruptException withAdvice(CorruptException e) {
        CorruptException advised = new CorruptException(e.what(), e.offset(), e.expected(),
                e.found() + "; run \"chkdsk /f\" on this volume in the guest, then shut it down");
        advised.initCause(e);
        return advised;
    }
}
