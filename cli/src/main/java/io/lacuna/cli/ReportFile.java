package io.lacuna.cli;

import io.lacuna.engine.ReportJson;
import io.lacuna.engine.RunReport;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * The file that {@code --report} names. A temporary file beside it is made before anything else is done, so that a place that
 * cannot be written ends the run while nothing is changed yet; the name appears only with the whole document behind it.
 */
final class ReportFile {

    private final Path target;
    private final Path temporary;
    private boolean written;

    private ReportFile(Path target, Path temporary) {
        this.target = target;
        this.temporary = temporary;
    }

    static ReportFile prepare(Path target) throws IOException {
        Path absolute = target.toAbsolutePath();
        if (Files.isDirectory(absolute)) {
            throw new IOException("the report cannot be written: " + target + " is a directory");
        }
        try {
            Path temporary = absolute.resolveSibling(absolute.getFileName() + "." + ProcessHandle.current().pid() + ".tmp");
            Files.newByteChannel(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE).close();
            return new ReportFile(absolute, temporary);
        } catch (IOException e) {
            throw new IOException("the report cannot be written to " + target + ": " + e, e);
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
