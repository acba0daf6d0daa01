package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What $Volume says: $VOLUME_NAME and $VOLUME_INFORMATION, little-endian. Source: libfsntfs, "The volume information
 * attribute"; names of the flags as in NTFS-3G's layout.h.
 *
 * @param label the volume's name; empty if it has none
 * @param flags see the constants
 */
record VolumeInformation(String label, int majorVersion, int minorVersion, int flags) {

    private static final int MAJOR_VERSION = 0x08;      // u8
    private static final int MINOR_VERSION = 0x09;      // u8
    private static final int FLAGS = 0x0A;              // u16
    private static final int MAX_LABEL_SIZE = 256;      // bytes, ours; Windows writes at most 32 characters

    private static final int DIRTY = 0x0001;
    private static final int MOUNTED_ON_NT4 = 0x0008;
    /** Met on clean volumes of Windows 10; without a public name. */
    private static final int SEEN_ON_CLEAN_VOLUMES = 0x0080;
    private static final int CHKDSK_UNDERWAY = 0x4000;
    private static final int MODIFIED_BY_CHKDSK = 0x8000;

    static VolumeInformation parse(FileRecord volume) throws DiskFormatException {
        Optional<Attribute> information = volume.attribute(Attribute.VOLUME_INFORMATION, "");
        if (information.isEmpty() || !information.get().isResident()) {
            throw new CorruptException(volume.describe() + ": $VOLUME_INFORMATION", volume.bytes().position(0),
                    "inside of the record", information.isEmpty() ? "none" : "clusters of its own");
        }
        Bytes value = information.get().value();
        int major = value.u8(MAJOR_VERSION);
        int minor = value.u8(MINOR_VERSION);
        if (!(major == 3 && minor <= 1 || major == 1 && minor == 2)) {
            throw value.unsupported("NTFS version", MAJOR_VERSION, "1.2, 3.0 or 3.1", major + "." + minor);
        }
        return new VolumeInformation(label(volume), major, minor, value.u16(FLAGS));
    }

    private static String label(FileRecord volume) throws DiskFormatException {
        Optional<Attribute> name = volume.attribute(Attribute.VOLUME_NAME, "");
        if (name.isEmpty()) {
            return "";
        }
        if (!name.get().isResident() || name.get().value().length() > MAX_LABEL_SIZE) {
            throw new UnsupportedException("NTFS volume name: longer than " + MAX_LABEL_SIZE + " bytes");
        }
        Bytes value = name.get().value();
        return Attribute.utf16(value, 0, value.length() / 2);
    }

    /** @throws UnsafeException if a flag says that somebody was not done with the volume, or means nothing that we know */
    void requireClean() throws UnsafeException {
        int doubts = flags & ~(MOUNTED_ON_NT4 | SEEN_ON_CLEAN_VOLUMES);
        if (doubts == 0) {
            return;
        }
        List<String> names = new ArrayList<>();
        if ((doubts & DIRTY) != 0) {
            names.add("it is marked dirty");
        }
        if ((doubts & CHKDSK_UNDERWAY) != 0) {
            names.add("a chkdsk was under way");
        }
        if ((doubts & MODIFIED_BY_CHKDSK) != 0) {
            names.add("chkdsk changed it and Windows has not seen it since");
        }
        int others = doubts & ~(DIRTY | CHKDSK_UNDERWAY | MODIFIED_BY_CHKDSK);
        if (others != 0) {
            names.add("flags " + NtfsBootSector.hex(others) + " are set");
        }
        throw new UnsafeException("this NTFS volume is in doubt: " + String.join(", ", names) + " (volume flags "
                + NtfsBootSector.hex(flags) + "); start the guest, run \"chkdsk /f\" on the volume, and shut it down fully "
                + "(shutdown /s /f /t 0)");
    }
}
