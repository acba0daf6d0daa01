package io.lacuna.cli;

import io.lacuna.engine.proof.ReportSigner;
import io.lacuna.engine.proof.TimeStamp;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/**
 * How a report is to be signed.
 *
 * @param responder who stamps the signature; null if nobody does
 * @param requestFile where the request for a time stamp goes; null if nowhere
 */
record Signing(ReportSigner signer, URI responder, Path requestFile) {

    /** Ours, in bytes: far more than a password has. */
    private static final int MAX_PASSWORD = 4096;

    /**
     * Reads and tries all that will be needed, before anything is changed.
     *
     * @return null if nothing is to be signed
     * @throws ParameterException if the options do not fit each other, or the key cannot be used
     * @throws IOException if a file cannot be read, or the responder does not answer
     */
    static Signing of(ParseResult result) throws IOException {
        Path key = result.matchedOptionValue("--sign", (Path) null);
        String stamp = result.matchedOptionValue("--timestamp", (String) null);
        if (key == null) {
            if (stamp != null || result.hasMatchedOption("--password-file")) {
                throw usage(result, "--timestamp and --password-file need --sign KEY");
            }
            return null;
        }
        if (!result.hasMatchedOption("--report")) {
            throw usage(result, "--sign needs --report FILE, for it is the report that is signed");
        }
        try {
            URI responder = stamp != null && TimeStamp.isUrl(stamp) ? TimeStamp.responder(stamp) : null;
            Path requestFile = stamp != null && responder == null ? Path.of(stamp) : null;
            if (requestFile != null) {
                requireNewPlace(result, requestFile, result.matchedOptionValue("--report", (Path) null));
            }
            ReportSigner signer = ReportSigner.load(key, password(result));
            if (responder != null) {
                TimeStamp.requireReachable(responder);
            }
            return new Signing(signer, responder, requestFile);
        } catch (IllegalArgumentException e) {
            throw usage(result, e.getMessage());
        }
    }

    /** It is written after everything else, when it would be too late to find out that it cannot be. */
    private static void requireNewPlace(ParseResult result, Path request, Path report) {
        if (Files.exists(request, LinkOption.NOFOLLOW_LINKS)) {
            throw usage(result, "--timestamp: " + request + " is there already. A time stamp can only be made once the "
                    + "report is signed: name a new file, which receives the request, or a responder on this machine");
        }
        Path directory = request.toAbsolutePath().getParent();
        if (directory == null || !Files.isDirectory(directory) || !Files.isWritable(directory)) {
            throw usage(result, "--timestamp: the request cannot be written to " + request + ": no such directory, or one "
                    + "that is not writable");
        }
        if (ReplacedReport.places(report).stream().anyMatch(place -> UndoCommand.isSame(place, request))) {
            throw usage(result, "--timestamp: " + request + " is where the report, its signature or the answer belongs: name "
                    + "another file for the request");
        }
    }

    private static char[] password(ParseResult result) throws IOException {
        Path file = result.matchedOptionValue("--password-file", (Path) null);
        if (file == null) {
            return null;
        }
        if (Files.size(file) > MAX_PASSWORD) {
            throw usage(result, file + " is too large for a password");
        }
        return Files.readString(file, StandardCharsets.UTF_8).lines().findFirst().orElse("").toCharArray();
    }

    private static ParameterException usage(ParseResult result, String message) {
        return new ParameterException(result.commandSpec().commandLine(), message);
    }
}
