package io.lacuna.cli;

import io.lacuna.engine.ReportJson;
import io.lacuna.engine.RunReport;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * The file that {@code --report} names. A temporary file beside it is made before anything else is done, so that a place that
 * cannot be written ends the run while nothing is changed yet; the name appears only with the whole document behind it. A
 * file that is there is replaced only if it is such a report: "--report *.qcow2" must not cost a disk.
 */
final class ReportFile {

    /** A report names its schema in the first of these bytes. */
    private static final int HEAD_SIZE = 256;

    private final Path target;
    private final Path temporary;
    private boolean written;

    private ReportFile(Path target, Path temporary) {
        this.target = target;
        this.temporary = temporary;
    }

    static ReportFile prepare(Path target) throws IOException {
        Path absolute = target.toAbsolutePath();
        if (Files.exists(absolute)) {
            requireReport(absolute);
        }
        try {
            Path temporary = absolute.resolveSibling(absolute.getFileName() + "." + ProcessHandle.current().pid() + ".tmp");
            Files.newByteChannel(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE).close();
            return new ReportFile(absolute, temporary);
        } catch (IOException e) {
            throw new IOException("the report cannot be written to " + target + ": " + e, e);
        }
    }

    private static void requireReport(Path target) throws IOException {
        if (!Files.isRegularFile(target)) {
            throw new IOException("the report cannot be written: " + target + " is there and is no file");
        }
        try (InputStream in = Files.newInputStream(target)) {
            byte[] head = in.readNBytes(HEAD_SIZE);
            String schema = ReportJson.SCHEMA.substring(0, ReportJson.SCHEMA.indexOf('/') + 1);
            if (head.length > 0 && !new String(head, StandardCharsets.ISO_8859_1).contains('"' + schema)) {
                throw new IOException("the report cannot be written: " + target + " is there and is not a report of Lacuna; "
                        + "name another file, or remove this one");
            }
        }
    }

    void write(RunReport run) throws IOException {
        try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE);
                OutputStream out = Channels.newOutputStream(channel)) {
            ReportJson.write(run, out);
            channel.force(true);
        }
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        written = true;
    }

    void discardUnlessWritten() {
        if (!written) {
            try {
                Files.deleteIfExists(temporary);
            } catch (IOException leftBehind) {
                // The run's own outcome matters more than an empty file of a known name.
            }
        }
    }
}
