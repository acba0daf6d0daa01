package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The saved memory of a hibernated Windows: hiberfil.sys in the root folder. */
final class Hibernation {

    static final String FILE = "hiberfil.sys";
    /** Windows clears so much when it has resumed; less is no proof. */
    static final int HEAD_SIZE = 4096;

    private Hibernation() {
    }

    /**
     * @return a short phrase for the report
     * @throws UnsafeException for the whole machine, if its memory may be saved here
     */
    static String requireNone(MasterFileTable mft, NtfsBootSector boot) throws IOException {
        List<Long> references = FolderIndex.find(mft, mft.record(FileRecord.ROOT), FILE, boot);
        if (references.size() == FolderIndex.MAX_FOUND) {
            throw hibernated("is in the root folder more than once, " + references.size() + " times or more");
        }
        for (long reference : references) {
            try {
                requireCleared(mft, mft.referenced(reference));
            } catch (UnsafeException e) {
                throw e;
            } catch (DiskFormatException e) {
                throw hibernated("cannot be read: " + e.reason());
            }
        }
        return references.isEmpty() ? "no " + FILE : FILE + " is cleared";
    }

    private static void requireCleared(MasterFileTable mft, FileRecord file) throws IOException {
        List<Attribute> pieces = mft.pieces(file, Attribute.DATA, "");
        if (pieces.isEmpty()) {
            throw hibernated("is not a plain file");
        }
        if (pieces.get(0).isResident()) {
            throw hibernated("is shorter than " + HEAD_SIZE + " bytes");
        }
        NtfsStream data = mft.stream(file, Attribute.DATA, "");
        if (data.dataSize() < HEAD_SIZE) {
            throw hibernated("is shorter than " + HEAD_SIZE + " bytes");
        }
        if ((data.flags() & (Attribute.COMPRESSED | Attribute.ENCRYPTED | Attribute.SPARSE)) != 0
                || data.position(0) < 0 || data.position(HEAD_SIZE - 1) < 0) {
            throw hibernated("is compressed, encrypted or sparse, so that its content cannot be judged");
        }
        // The clusters themselves, whatever the valid size says: Windows writes its memory past the file system.
        ByteBuffer head = ByteBuffer.allocate(HEAD_SIZE);
        data.readClusters(0, head);
        Bytes bytes = Bytes.littleEndian(head.flip(), data.position(0));
        if (!bytes.isZero(0, HEAD_SIZE)) {
            throw hibernated("begins with " + printable(bytes));
        }
    }

    private static String printable(Bytes bytes) throws IOException {
        byte[] signature = bytes.copy(0, 4);
        for (byte b : signature) {
            if (b < '!' || b > '~') {
                return "bytes that are not 0";
            }
        }
        return "\"" + new String(signature, StandardCharsets.US_ASCII) + "\"";
    }

    private static UnsafeException hibernated(String sign) {
        return new UnsafeException("this Windows may be hibernated: " + FILE + " " + sign + ". Its saved memory still "
                + "relies on every volume of the machine; start the guest and shut it down fully (shutdown /s /f /t 0, which "
                + "leaves out fast start-up), or switch hibernation off there (powercfg /h off)",
                UnsafeException.Scope.MACHINE);
    }
}
