package io.lacuna.diskimage.qcow2;

import java.util.List;

/** What a reader of the report should know about a qcow2 image, in sentences. */
final class Remarks {

    private static final int NAMES_SHOWN = 3;

    private Remarks() {
    }

    /** @return why clusters that these snapshots need, all of them, stay */
    static String sharedReason(List<String> snapshots) {
        return snapshots.size() == 1 ? "shared with snapshot '" + snapshots.get(0) + "'"
                : "shared with the snapshots " + names(snapshots);
    }

    static String names(List<String> names) {
        String shown = String.join(", ", names.stream().limit(NAMES_SHOWN).map(name -> "'" + name + "'").toList());
        return names.size() > NAMES_SHOWN ? shown + " and " + (names.size() - NAMES_SHOWN) + " more" : shown;
    }

    static void add(List<String> remarks, Qcow2Header header, Qcow2Extensions extensions, ReferenceScan scan) {
        if (!scan.bitmaps.isEmpty()) {
            remarks.add("The persistent bitmaps " + names(scan.bitmaps.stream().map(PersistentBitmap::name).toList())
                    + " stay as they are: freed ranges are not marked as changed in them, so an incremental backup does not"
                    + " copy them again, and a restore from it may bring old bytes of deleted files back; no live byte"
                    + " differs.");
        }
        if (!extensions.unknown().isEmpty()) {
            remarks.add("The header has extensions that Lacuna does not know (" + String.join(", ", extensions.unknown())
                    + "): clusters that nothing seems to use may be theirs and stay.");
        }
        if (extensions.staleBitmaps()) {
            remarks.add("The image's persistent bitmaps are marked inconsistent: clusters that nothing seems to use may be"
                    + " theirs and stay.");
        }
        long unknownBits = header.autoclear() & ~Qcow2Header.AUTOCLEAR_KNOWN;
        if (unknownBits != 0) {
            remarks.add("The unknown auto-clear feature bits 0x" + Long.toHexString(unknownBits)
                    + " are cleared before anything is written, as the format demands.");
        }
    }

    /** @param repaired whether what can be taken back is */
    static void addLeaks(List<String> remarks, RefcountTable.Comparison comparison, Qcow2Header header, boolean repaired) {
        long leaked = comparison.leaked().totalBytes();
        long excess = comparison.excess().totalBytes() >>> header.clusterBits();
        if (leaked > 0 && repaired) {
            remarks.add(leaked + " bytes that nothing refers to any more, as an earlier, cut run left them, are taken back.");
        } else if (leaked > 0) {
            remarks.add(leaked + " bytes are marked as in use although nothing refers to them; 'qemu-img check -r leaks'"
                    + " takes them back.");
        }
        if (excess > 0 && !repaired) {
            remarks.add("The reference counts of " + excess + " clusters are higher than the references found; 'qemu-img"
                    + " check -r leaks' corrects them.");
        }
    }
}
