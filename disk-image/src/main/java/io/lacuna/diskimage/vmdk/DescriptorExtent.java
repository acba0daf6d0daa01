package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.UnsupportedException;
import java.util.Locale;

/**
 * One line of a descriptor that describes a part of the disk.
 *
 * @param access what the guest may do with it
 * @param length bytes of the disk
 * @param kind how it is stored
 * @param name the file's name as the descriptor gives it; null for {@link Kind#ZERO}
 * @param offset byte of a flat file where the part begins
 */
record DescriptorExtent(Access access, long length, Kind kind, String name, long offset) {

    /** What the guest may do. */
    enum Access { RW, RDONLY, NOACCESS }

    /** How a part is stored. */
    enum Kind {
        /** Sparse file of the hosted products. */
        SPARSE,
        /** Bytes one after another. */
        FLAT,
        /** Nowhere: it reads as zeros. */
        ZERO,
        /** Flat, on ESX. */
        VMFS,
        /** COWD. */
        VMFSSPARSE,
        /** Sparse with a journal, on ESX. */
        SESPARSE;

        static Kind of(String word) throws UnsupportedException {
            for (Kind kind : values()) {
                if (kind.name().equals(word.toUpperCase(Locale.ROOT))) {
                    return kind;
                }
            }
            throw new UnsupportedException("the VMDK has an extent of the type '" + VmdkDescriptor.shown(word)
                    + "', which Lacuna cannot read (a device of the host, for example); give it the device itself");
        }

        boolean isFlat() {
            return this == FLAT || this == VMFS;
        }

        boolean isSparse() {
            return this == SPARSE || this == VMFSSPARSE || this == SESPARSE;
        }
    }
}
