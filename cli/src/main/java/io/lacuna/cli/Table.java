package io.lacuna.cli;

import java.util.ArrayList;
import java.util.List;

/** Rows of text in aligned columns. */
final class Table {

    private final boolean[] rightAligned;
    private final List<String[]> rows = new ArrayList<>();

    /** @param headings one a column; a leading '&gt;' aligns the column to the right */
    Table(String... headings) {
        rightAligned = new boolean[headings.length];
        String[] first = new String[headings.length];
        for (int i = 0; i < headings.length; i++) {
            rightAligned[i] = headings[i].startsWith(">");
            first[i] = rightAligned[i] ? headings[i].substring(1) : headings[i];
        }
        rows.add(first);
    }

    void add(String... cells) {
        rows.add(cells);
    }

    /** Appends the rows, each with this indentation and a line end. */
    void appendTo(StringBuilder out, String indent) {
        int[] widths = new int[rightAligned.length];
        for (String[] row : rows) {
            for (int i = 0; i < row.length; i++) {
                widths[i] = Math.max(widths[i], row[i].length());
            }
        }
        for (String[] row : rows) {
            StringBuilder line = new StringBuilder(indent);
            for (int i = 0; i < row.length; i++) {
                String padding = " ".repeat(widths[i] - row[i].length());
                line.append(i == 0 ? "" : "  ");
                line.append(rightAligned[i] ? padding + row[i] : row[i] + padding);
            }
            out.append(line.toString().stripTrailing()).append('\n');
        }
    }
}
