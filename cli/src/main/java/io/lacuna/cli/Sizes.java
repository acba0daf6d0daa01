package io.lacuna.cli;

import java.util.Locale;

/** Byte counts as people write and read them. */
final class Sizes {

    private static final String[] UNITS = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private Sizes() {
    }

    /**
     * Reads "4096", "4KiB", "4 KiB", "1MiB", "2G": binary units, any case, B or iB left out at will.
     *
     * @throws IllegalArgumentException if the text is no such size, or no number of bytes below 2^63
     */
    static long parse(String text) {
        String trimmed = text.strip();
        int digits = 0;
        while (digits < trimmed.length() && trimmed.charAt(digits) >= '0' && trimmed.charAt(digits) <= '9') {
            digits++;
        }
        String unit = trimmed.substring(digits).strip().toUpperCase(Locale.ROOT);
        int shift = 0;
        if (!unit.isEmpty() && !unit.equals("B")) {
            shift = 10 * ("KMGTPE".indexOf(unit.charAt(0)) + 1);
            String rest = unit.substring(1);
            if (shift == 0 || !(rest.isEmpty() || rest.equals("IB"))) {
                throw notASize(text);
            }
        }
        try {
            return Math.multiplyExact(Long.parseLong(trimmed.substring(0, digits)), 1L << shift);
        } catch (NumberFormatException | ArithmeticException e) {
            throw notASize(text);
        }
    }

    private static IllegalArgumentException notASize(String text) {
        return new IllegalArgumentException("'" + text + "' is not a size; write for instance 4096, 64KiB, 1MiB or 2GiB");
    }

    /** @return "512 B", "4.0 KiB", "1.5 GiB"; "-" for a negative count, which stands for unknown */
    static String show(long bytes) {
        if (bytes < 0) {
            return "-";
        }
        if (bytes < 1024) {
            return bytes + " B";
        }
        // Whole steps in integers: rounding to one digit must not turn 1023.96 KiB into 1024.0 KiB.
        int unit = 0;
        long whole = bytes;
        long tenths = tenths(whole);
        while (tenths >= 10240 && unit < UNITS.length - 1) {
            whole >>= 10;
            unit++;
            tenths = tenths(whole);
        }
        return tenths / 10 + "." + tenths % 10 + " " + UNITS[unit];
    }

    private static long tenths(long bytes) {
        return (bytes >> 10) * 10 + ((bytes & 1023) * 10 + 512 >> 10);
    }
}
