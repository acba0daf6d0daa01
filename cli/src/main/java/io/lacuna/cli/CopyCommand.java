package io.lacuna.cli;

import io.lacuna.diskimage.write.OutputFormat;
import io.lacuna.engine.Copier;
import io.lacuna.engine.CopyOptions;
import io.lacuna.engine.CopyReport;
import io.lacuna.engine.ImageReport;
import io.lacuna.engine.ReportJson;
import io.lacuna.engine.VolumeReport;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** The command that copies: one image, one new file. */
final class CopyCommand {

    private final PrintStream out;
    private final Terminal terminal;

    CopyCommand(PrintStream out, Terminal terminal) {
        this.out = out;
        this.terminal = terminal;
    }

    /** @return the exit status */
    int run(ParseResult result) {
        Path image = result.matchedPositionalValue(0, (Path) null);
        Path copy = result.matchedPositionalValue(1, (Path) null);
        CopyOptions options = options(result, copy);
        CopyReport report = Copier.run(image, copy, options, terminal.progress(image));
        terminal.clear();
        if (result.hasMatchedOption("--json")) {
            writeJson(report);
        } else {
            out.print(lines(report));
            out.flush();
        }
        return report.exitStatus();
    }

    private void writeJson(CopyReport report) {
        try {
            ReportJson.write(report, out);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static CopyOptions options(ParseResult result, Path copy) {
        OutputFormat to = result.matchedOptionValue("--to", (OutputFormat) null);
        if (to == null && copy.getFileName() != null) {
            to = OutputFormat.ofFileName(copy.getFileName().toString());
        }
        if (to == null) {
            throw usage(result, "the name '" + copy + "' does not tell which format the copy shall have; say --to FORMAT");
        }
        try {
            return new CopyOptions(to, result.matchedOptionValue("--format", (String) null),
                    result.matchedOptionValue("--allow-backing", List.of()),
                    Set.copyOf(result.matchedOptionValue("--include", List.of())), result.hasMatchedOption("--compress"),
                    result.hasMatchedOption("--keep-chain"), result.hasMatchedOption("--force"),
                    result.hasMatchedOption("--replay-journal"));
        } catch (IllegalArgumentException e) {
            throw usage(result, e.getMessage());
        }
    }

    private static ParameterException usage(ParseResult result, String message) {
        return new ParameterException(result.commandSpec().commandLine(), message);
    }

    private static String lines(CopyReport report) {
        ImageReport source = report.source();
        String prefix = Text.printable(source.path().toString()) + ": ";
        StringBuilder text = new StringBuilder();
        for (VolumeReport volume : source.volumes()) {
            text.append(prefix).append(volume.index() == 0 ? "volume (" : "volume " + volume.index() + " (")
                    .append(volume.type()).append("): ");
            if (volume.skipped()) {
                text.append("copied whole: ").append(Text.printable(volume.reason()));
            } else {
                text.append(Sizes.show(volume.freeBytes())).append(" free in ").append(volume.freeExtents())
                        .append(" extents, ").append(Sizes.show(volume.reclaimableBytes())).append(" of it stored and left out");
            }
            text.append('\n');
        }
        for (String remark : source.remarks()) {
            text.append(prefix).append("note: ").append(Text.printable(remark)).append('\n');
        }
        text.append(prefix);
        CopyReport.Copy copy = report.copy();
        if (copy == null) {
            text.append(source.verdict() == ImageReport.Verdict.REFUSED ? "refused, nothing was written: " : "failed: ")
                    .append(Text.printable(source.reason()));
        } else {
            text.append("copied to ").append(Text.printable(copy.path())).append(" (").append(copy.format())
                    .append(copy.parent() == null ? "" : " on " + Text.printable(copy.parent())).append("): ")
                    .append(Sizes.show(source.hostBytesBefore())).append(" -> ").append(Sizes.show(copy.hostBytes()))
                    .append(" on the host, ").append(source.elapsedMillis()).append(" ms");
        }
        return text.append('\n').toString();
    }
}
