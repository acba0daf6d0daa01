package io.lacuna.cli;

import io.lacuna.engine.ReportJson;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What is already in the place of a report and its signatures: it may go only if it is such a report, such a signature. */
final class ReplacedReport {

    /** A report names its schema in the first of these bytes, a canonical one in the last. */
    private static final int NEAR_END = 256;
    private static final String RAW_SIGNATURE = ".sig";
    private static final int RAW_SIGNATURE_SIZE = 64;
    /** In DER. */
    private static final List<String> ENCODED = List.of(".p7s", ".tsr");
    private static final int DER_SEQUENCE = 0x30;
    private static final int MAX_ENCODED = 1 << 20;

    private ReplacedReport() {
    }

    /** @throws IOException if something else is there */
    static void require(Path target) throws IOException {
        boolean report = Files.exists(target, LinkOption.NOFOLLOW_LINKS) && Files.exists(target);
        if (report) {
            requireReport(target);
        }
        for (Path signature : signatures(target)) {
            if (Files.exists(signature, LinkOption.NOFOLLOW_LINKS) && !(report && isSignature(signature))) {
                throw new IOException("the report cannot be written: beside it " + signature + " is there, "
                        + (report ? "which is no signature of Lacuna" : "a signature without its report")
                        + "; name another file, or remove this one");
            }
        }
    }

    /** @return the report's place and those of all that may stand beside it */
    static List<Path> places(Path report) {
        Path absolute = report.toAbsolutePath();
        List<Path> places = new ArrayList<>(signatures(absolute));
        places.add(absolute);
        return places;
    }

    private static List<Path> signatures(Path target) {
        return List.of(beside(target, RAW_SIGNATURE), beside(target, ENCODED.get(0)), beside(target, ENCODED.get(1)));
    }

    private static Path beside(Path target, String suffix) {
        return target.resolveSibling(target.getFileName() + suffix);
    }

    private static void requireReport(Path target) throws IOException {
        if (!Files.isRegularFile(target)) {
            throw new IOException("the report cannot be written: " + target + " is there and is no file");
        }
        try (RandomAccessFile file = new RandomAccessFile(target.toFile(), "r")) {
            byte[] near = new byte[(int) Math.min(NEAR_END, file.length())];
            file.readFully(near);
            String head = new String(near, StandardCharsets.ISO_8859_1);
            if (head.startsWith("{\"canonical\":\"" + ReportJson.CANONICAL + '"')) {
                file.seek(file.length() - near.length);
                file.readFully(near);
                head = new String(near, StandardCharsets.ISO_8859_1);
            }
            String schema = ReportJson.SCHEMA.substring(0, ReportJson.SCHEMA.indexOf('/') + 1);
            if (near.length > 0 && !head.contains('"' + schema)) {
                throw new IOException("the report cannot be written: " + target + " is there and is not a report of Lacuna; "
                        + "name another file, or remove this one");
            }
        }
    }

    private static boolean isSignature(Path file) throws IOException {
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return false;
        }
        if (file.toString().endsWith(RAW_SIGNATURE)) {
            return Files.size(file) == RAW_SIGNATURE_SIZE;
        }
        try (RandomAccessFile encoded = new RandomAccessFile(file.toFile(), "r")) {
            return encoded.length() <= MAX_ENCODED && encoded.read() == DER_SEQUENCE;
        }
    }

    /** Removes the signatures of the report that is there; {@link #require} has looked at them. */
    static void removeSignatures(Path target) throws IOException {
        for (Path signature : signatures(target)) {
            if (Files.exists(signature, LinkOption.NOFOLLOW_LINKS) && isSignature(signature)) {
                Files.delete(signature);
            }
        }
    }
}
