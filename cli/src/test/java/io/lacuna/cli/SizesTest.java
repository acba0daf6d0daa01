package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SizesTest {

    @ParameterizedTest
    @CsvSource({"0, 0", "4096, 4096", "4KiB, 4096", "4 kib, 4096", "64k, 65536", "1MiB, 1048576", "2G, 2147483648",
        "1TiB, 1099511627776", "7 B, 7", "7E, 8070450532247928832"})
    void reads(String text, long bytes) {
        assertEquals(bytes, Sizes.parse(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-1", "K", "1.5M", "4 XiB", "4KB", "4KiBs", "8E", "99999999999999999999", "0x10", "1e3"})
    void refuses(String text) {
        assertThrows(IllegalArgumentException.class, () -> Sizes.parse(text));
    }

    @ParameterizedTest
    @CsvSource({"-1, -", "0, 0 B", "1023, 1023 B", "1024, 1.0 KiB", "1536, 1.5 KiB", "1048575, 1.0 MiB", "1048576, 1.0 MiB",
        "1047552, 1023.0 KiB", "9223372036854775807, 8.0 EiB"})
    void shows(long bytes, String text) {
        assertEquals(text, Sizes.show(bytes));
    }

    @Test
    void tableAlignsItsColumns() {
        Table table = new Table(">n", "name");
        table.add("1", "a");
        table.add("100", "long one");
        StringBuilder text = new StringBuilder();
        table.appendTo(text, " ");
        assertEquals("   n  name\n   1  a\n 100  long one\n", text.toString());
    }

    @Test
    void hostileTextCannotSteerATerminal() {
        assertEquals("a?[31mb?c?", Text.printable("a\u001b[31mb\rc\u202e"));
        assertEquals("Größe", Text.printable("Größe"));
    }
}
