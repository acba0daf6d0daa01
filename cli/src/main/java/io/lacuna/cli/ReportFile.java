package io.lacuna.cli;

import io.lacuna.engine.ReportJson;
import io.lacuna.engine.RunReport;
import io.lacuna.engine.proof.TimeStamp;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The file that {@code --report} names, and the files beside it that sign it. A temporary file beside it is made before anything
 * else is done, so that a place that cannot be written ends the run while nothing is changed yet; the name appears only with the
 * whole document behind it. A file that is there is replaced only if it is such a report: "--report *.qcow2" must not cost a disk.
 */
final class ReportFile {

    private final Path target;
    private final Path temporary;
    private final Signing signing;
    private final boolean canonical;
    private final Thread atExit = new Thread(this::deleteTemporary, "delete unfinished report");
    private boolean written;

    private ReportFile(Path target, Path temporary, Signing signing, boolean canonical) {
        this.target = target;
        this.temporary = temporary;
        this.signing = signing;
        this.canonical = canonical;
    }

    /**
     * @param signing null if the report is not signed
     * @param canonical whether it is written in the form that is signed, with all ranges that were discarded
     */
    static ReportFile prepare(Path target, Signing signing, boolean canonical) throws IOException {
        Path absolute = target.toAbsolutePath();
        ReplacedReport.require(absolute);
        Path temporary = absolute.resolveSibling(absolute.getFileName() + "."
                + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".tmp");
        try {
            Files.newByteChannel(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE).close();
            ReportFile prepared = new ReportFile(absolute, temporary, signing, canonical);
            Runtime.getRuntime().addShutdownHook(prepared.atExit);
            return prepared;
        } catch (IOException e) {
            throw new IOException("the report cannot be written to " + target + ": " + e, e);
        }
    }

    void write(RunReport run) throws IOException {
        // Whoever may write in the directory may have put a link in its place since.
        try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
                OutputStream out = Channels.newOutputStream(channel)) {
            if (canonical) {
                ReportJson.writeCanonical(run, signing == null ? null : signing.signer().description(), out);
            } else {
                ReportJson.write(run, out);
            }
            channel.force(true);
        }
        // The images are changed by now: whatever fails from here on, the report of it stays.
        written = true;
        byte[] signature = null;
        IOException unsigned = null;
        try {
            signature = signing == null ? null : signing.signer().sign(temporary);
        } catch (IOException | RuntimeException | OutOfMemoryError e) {
            unsigned = new IOException("the report was written to " + target + ", but not signed: " + e.getMessage(), e);
        }
        try {
            // Something else may have come there during the run.
            ReplacedReport.require(target);
            // What signed the report that was here before signs nothing any more.
            ReplacedReport.removeSignatures(target);
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new IOException(e.getMessage() + ". The report is in " + temporary + ", without a signature", e);
        }
        if (signature != null) {
            sign(signature);
            stamp(signature);
        }
        try (FileChannel directory = FileChannel.open(target.getParent(), StandardOpenOption.READ)) {
            directory.force(true);
        }
        if (unsigned != null) {
            throw unsigned;
        }
    }

    private void sign(byte[] signature) throws IOException {
        try {
            writeBeside(signing.signer().suffix(), signature);
        } catch (IOException e) {
            throw new IOException("the report was written to " + target + ", but its signature was not: " + e.getMessage(), e);
        }
    }

    private void stamp(byte[] signature) throws IOException {
        try {
            if (signing.responder() != null) {
                writeBeside(TimeStamp.SUFFIX, TimeStamp.ask(signing.responder(), signature));
            } else if (signing.requestFile() != null) {
                writeNew(signing.requestFile(), TimeStamp.request(signature));
            }
        } catch (IOException e) {
            throw new IOException("the report was written and signed, but has no time stamp: " + e.getMessage() + ". Ask for one: "
                    + "openssl ts -query -cert -sha256 -data " + target + signing.signer().suffix() + "; the answer belongs into "
                    + target + TimeStamp.SUFFIX, e);
        }
    }

    private void writeBeside(String suffix, byte[] bytes) throws IOException {
        Path unfinished = target.resolveSibling(temporary.getFileName() + suffix);
        try {
            writeNew(unfinished, bytes);
            Files.move(unfinished, target.resolveSibling(target.getFileName() + suffix), StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(unfinished);
        }
    }

    private static void writeNew(Path file, byte[] bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            ByteBuffer content = ByteBuffer.wrap(bytes);
            while (content.hasRemaining()) {
                channel.write(content);
            }
            channel.force(true);
        }
    }

    void discardUnlessWritten() {
        if (!written) {
            deleteTemporary();
        }
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException endsAlready) {
            // The hook finds nothing to delete.
        }
    }

    private void deleteTemporary() {
        try {
            Files.deleteIfExists(temporary);
        } catch (IOException leftBehind) {
            // The run's own outcome matters more than an empty file of a name that says what it is.
        }
    }
}
