package io.lacuna.cli;

import io.lacuna.engine.Undo;
import io.lacuna.engine.UndoReport;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** The command that puts an image back. */
final class UndoCommand {

    private final PrintStream out;
    private final Terminal terminal;

    UndoCommand(PrintStream out, Terminal terminal) {
        this.out = out;
        this.terminal = terminal;
    }

    /**
     * An undo file is of one image.
     *
     * @param undo what {@code --undo} says; null without it
     * @param named images and directories as the user named them
     */
    static void requireOneFileAnImage(Path undo, List<Path> named, List<Path> images, ParseResult result) {
        boolean several = images.size() > 1 || named.stream().anyMatch(Files::isDirectory);
        if (undo != null && several && !Files.isDirectory(undo)) {
            throw new ParameterException(result.commandSpec().commandLine(), "an undo file is of one image; for several, --undo "
                    + "names a directory that exists, in which each image gets its own: " + undo + " is none");
        }
        Map<Path, Path> owners = new HashMap<>();
        for (Path image : undo == null ? List.<Path>of() : images) {
            Path file = Undo.fileOf(image, undo);
            Path other = owners.putIfAbsent(file, image);
            if (other != null && !isSame(other, image)) {
                throw new ParameterException(result.commandSpec().commandLine(), "--undo: " + other + " and " + image
                        + " have the same name, and would share " + file + ": take them in calls of their own, each with a "
                        + "directory of its own");
            }
        }
    }

    /** @param report what {@code --report} says; null without it */
    static void requireAnotherPlaceThan(Path report, Path undo, List<Path> images, ParseResult result) {
        if (report == null || undo == null) {
            return;
        }
        for (Path image : images) {
            Path file = Undo.fileOf(image, undo);
            if (ReplacedReport.places(report).stream().anyMatch(place -> isSame(place, file))) {
                throw new ParameterException(result.commandSpec().commandLine(), "--report and --undo name the same file, " + file
                        + ": the report, or its signature, would take the place of what brings the image back");
            }
        }
    }

    static boolean isSame(Path first, Path second) {
        Path one = first.toAbsolutePath().normalize();
        Path other = second.toAbsolutePath().normalize();
        try {
            return one.getFileName().equals(other.getFileName()) && Files.isSameFile(one.getParent(), other.getParent());
        } catch (IOException notThere) {
            return one.equals(other);
        }
    }

    /** @return the exit status */
    int run(ParseResult result) {
        Path file = result.matchedPositionalValue(0, (Path) null);
        UndoReport report = Undo.run(file, result.hasMatchedOption("--unchanged"), terminal.progress(file));
        terminal.clear();
        out.print(lines(report));
        out.flush();
        return report.exitStatus();
    }

    private static String lines(UndoReport report) {
        String prefix = Text.printable(report.undoFile().toString()) + ": ";
        StringBuilder text = new StringBuilder();
        for (String remark : report.remarks()) {
            text.append(prefix).append("note: ").append(Text.printable(remark)).append('\n');
        }
        text.append(prefix);
        switch (report.verdict()) {
            case RESTORED -> {
                text.append(Text.printable(report.image().toString())).append(" is as it was before the run: ")
                        .append(Sizes.show(report.restoredBytes())).append(" put back");
                if (report.hostBytesBefore() >= 0) {
                    text.append("; ").append(Sizes.show(report.hostBytesBefore())).append(" -> ")
                            .append(Sizes.show(report.hostBytesAfter())).append(" on the host");
                }
                text.append(", ").append(report.elapsedMillis()).append(" ms");
            }
            case NOTHING_TO_RESTORE -> text.append("nothing to put back: the run ended before it changed anything");
            case REFUSED -> text.append("refused, nothing was changed: ").append(Text.printable(report.reason()));
            case FAILED -> text.append("failed: ").append(Text.printable(report.reason()));
        }
        return text.append('\n').toString();
    }
}
