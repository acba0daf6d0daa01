package io.lacuna.partition;

import java.io.IOException;
import java.nio.ByteOrder;

/**
 * Linux swap areas, and memory saved in one. The signature ends the first page, whose size is the writer's; the header is at byte
 * 1024, in the writer's byte order: version u32, last page u32. Sources: the Linux kernel's swap.h, power/swap.c, uswsusp and
 * TuxOnIce.
 */
final class SwapSignatures {

    private static final int MIN_PAGE = 4 << 10;
    private static final int MAX_PAGE = 64 << 10;
    private static final int SIGNATURE_SIZE = 10;
    private static final long VERSION = 1024;
    private static final long LAST_PAGE = 1028;
    private static final String TUXONICE = "\u00ed\u00c3\u0002\u00e9\u0098\u0056\u00e5\u000c";

    private SwapSignatures() {
    }

    static void find(Signatures signatures) throws IOException {
        VolumeBytes bytes = signatures.bytes();
        if (bytes.matches(0, TUXONICE)) {
            addSavedMemory(signatures, 0, TUXONICE.length());
        }
        int swaps = 0;
        for (int page = MIN_PAGE; page <= MAX_PAGE; page *= 2) {
            swaps += bytes.matches(page - SIGNATURE_SIZE, "SWAPSPACE2") ? 1 : 0;
        }
        for (int page = MIN_PAGE; page <= MAX_PAGE; page *= 2) {
            int at = page - SIGNATURE_SIZE;
            if (bytes.matches(at + 2, "SUSPEND") || bytes.matches(at, "LINHIB000")) {
                addSavedMemory(signatures, at, page);
            } else if (bytes.matches(at, "SWAPSPACE2")) {
                addSwap(signatures, at, page, swaps == 1);
            } else if (bytes.matches(at, "SWAP-SPACE")) {
                // Linux gave this kind up in 2.5.22. How many pages it has stands in a bitmap; nobody needs it read.
                signatures.add("swap", "a Linux swap area of the old kind", at, page);
            }
        }
    }

    private static void addSavedMemory(Signatures signatures, long at, long header) {
        signatures.add(new VolumeSignature("swsuspend", "the saved memory of a hibernated Linux",
                VolumeSignature.Kind.SAVED_MEMORY, at, header, signatures.bytes().size()));
    }

    /**
     * A header that makes no sense is still the sign of a swap area, but of none whose pages may be given away.
     *
     * @param only whether there is no signature for another size of pages, which would lie among these pages
     */
    private static void addSwap(Signatures signatures, long at, long page, boolean only) throws IOException {
        VolumeBytes bytes = signatures.bytes();
        ByteOrder order = bytes.u32(VERSION, ByteOrder.BIG_ENDIAN) == 1 ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        long pages = bytes.u32(LAST_PAGE, order) + 1;
        boolean sound = only && bytes.u32(VERSION, order) == 1 && pages > 1 && pages <= bytes.size() / page;
        if (sound) {
            signatures.add(new VolumeSignature("swap", "a Linux swap area", VolumeSignature.Kind.SWAP, at, page,
                    pages * page));
        } else {
            signatures.add("swap", "a Linux swap area with a damaged header, with two of them, or larger than its volume", at,
                    (int) page);
        }
    }
}
