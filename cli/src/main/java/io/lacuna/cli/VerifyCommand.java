package io.lacuna.cli;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.engine.ReportJson;
import io.lacuna.engine.proof.CanonicalJson;
import io.lacuna.engine.proof.Finding;
import io.lacuna.engine.proof.ImageCheck;
import io.lacuna.engine.proof.ReadReport;
import io.lacuna.engine.proof.ReportContent;
import io.lacuna.engine.proof.SignatureCheck;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** The command that verifies: first the report's signature, then an image against the report. */
final class VerifyCommand {

    private static final int DIFFERENCE = 4;
    private static final int REFUSED = 3;
    private static final int USAGE = 2;

    private final PrintStream out;
    private final Terminal terminal;
    private final List<String> sentences = new ArrayList<>();
    /** What was found out about each, as far as it was asked. */
    private Finding signature;
    private Finding image;
    private String refusal;

    VerifyCommand(PrintStream out, Terminal terminal) {
        this.out = out;
        this.terminal = terminal;
    }

    /** @return the exit status */
    int run(ParseResult result) throws IOException {
        Path report = result.matchedPositionalValue(0, (Path) null);
        Path disk = result.matchedPositionalValue(1, (Path) null);
        try {
            verify(result, report, disk);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(result.commandSpec().commandLine(), e.getMessage());
        } catch (NoSuchFileException e) {
            throw new IOException(e.getFile() + ": no such file", e);
        } finally {
            terminal.clear();
        }
        if (result.hasMatchedOption("--json")) {
            writeJson(report, disk);
        } else {
            sentences.forEach(sentence -> out.println(Text.printable(sentence)));
        }
        out.flush();
        return status();
    }

    private int status() {
        if (signature != Finding.GOOD && signature != null) {
            return DIFFERENCE;
        }
        if (refusal != null) {
            return REFUSED;
        }
        return image == null || image == Finding.GOOD ? 0 : image == Finding.NOTHING_TO_COMPARE ? USAGE : DIFFERENCE;
    }

    private void verify(ParseResult result, Path report, Path disk) throws IOException {
        SignatureCheck.Trusted trusted = new SignatureCheck.Trusted(result.matchedOptionValue("--key", (Path) null),
                result.matchedOptionValue("--ca", (Path) null), result.matchedOptionValue("--timestamp-ca", (Path) null));
        Path stamp = result.matchedOptionValue("--timestamp", (Path) null);
        ReadReport read;
        try (ReportContent content = ReportContent.open(report)) {
            SignatureCheck.Result checked = signature(report, content, trusted, stamp);
            if (signature != null && signature != Finding.GOOD) {
                notCompared(disk);
                return;
            }
            try (InputStream in = content.stream()) {
                read = ReadReport.of(in);
            }
            String contradiction = checked == null ? null : checked.contradiction(read);
            if (contradiction != null) {
                signature = Finding.OTHER_KEY;
                sentences.add(report + ": " + contradiction);
                notCompared(disk);
                return;
            }
        }
        if (read.schema() == null || !read.schema().equals(ReportJson.SCHEMA)) {
            throw new IOException(report + " is not a report of Lacuna that this version can read (" + ReportJson.SCHEMA + ")");
        }
        if (signature == null) {
            requireUnsigned(read, report);
        }
        if (disk != null) {
            compare(result, read, disk);
        }
    }

    private void notCompared(Path disk) {
        if (disk != null) {
            sentences.add(disk + ": not compared, for such a report proves nothing");
        }
    }

    /** @return what the report's signature comes to; null if there is none */
    private SignatureCheck.Result signature(Path report, ReportContent content, SignatureCheck.Trusted trusted, Path stamp)
            throws IOException {
        Path signatureFile = SignatureCheck.signatureOf(report, trusted);
        if (signatureFile != null) {
            SignatureCheck.Result checked = SignatureCheck.run(report, content, signatureFile, trusted, stamp);
            signature = checked.finding();
            checked.sentences().forEach(sentence -> sentences.add(report + ": " + sentence));
            return checked;
        }
        if (!trusted.isNobody() || stamp != null) {
            signature = Finding.NOT_SIGNED;
            sentences.add(report + ": there is no signature beside it (" + report.getFileName() + ".sig or .p7s)");
        }
        return null;
    }

    /** Whoever takes the signature away must not make a report good by that. */
    private void requireUnsigned(ReadReport read, Path report) {
        if (read.signedBy() != null) {
            signature = Finding.NOT_SIGNED;
            sentences.add(report + ": it says that it was signed, but there is no signature beside it");
        } else {
            sentences.add(report + ": it is not signed, so anybody may have written it");
        }
    }

    private void compare(ParseResult result, ReadReport read, Path disk) throws IOException {
        if (signature == Finding.NOT_SIGNED) {
            return;
        }
        ReadReport.Image reported = ImageCheck.find(read, disk);
        try {
            ImageCheck.Result checked = ImageCheck.run(reported, disk, result.matchedOptionValue("--format", (String) null),
                    result.matchedOptionValue("--allow-backing", List.of()), terminal.progress(disk));
            image = checked.finding();
            sentences.add(disk + ": " + checked.sentence());
            checked.remarks().forEach(remark -> sentences.add(disk + ": " + remark));
        } catch (UnsafeException | UnsupportedException e) {
            refusal = e.reason();
            sentences.add(disk + ": refused: " + refusal);
        } catch (DiskFormatException e) {
            image = Finding.IMAGE_CHANGED;
            sentences.add(disk + ": the image cannot be read as what the report says it was: " + e.getMessage());
        }
    }

    private void writeJson(Path report, Path disk) throws IOException {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("schema", "lacuna.verify/1");
        document.put("report", report.toString());
        document.put("signature", signature == null ? "none" : signature.word());
        document.put("image", disk == null ? null : disk.toString());
        document.put("liveBytes", refusal != null ? "refused" : image == null ? null : image.word());
        document.put("findings", List.copyOf(sentences));
        CanonicalJson.write(document, out);
        out.println();
    }
}
