package io.lacuna.cli;

import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.engine.Batch;
import io.lacuna.engine.ImageFiles;
import io.lacuna.engine.ImageReport;
import io.lacuna.engine.ReclaimOptions;
import io.lacuna.engine.ReclaimOptions.Purpose;
import io.lacuna.engine.ReclaimOptions.Verify;
import io.lacuna.engine.ReportJson;
import io.lacuna.engine.RunReport;
import io.lacuna.blockio.Progress;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Takes the arguments apart and runs what they ask for. */
final class Commands {

    private static final int USAGE = 2;
    private static final int FAILED = 1;
    private static final int DIFFERENT = 4;

    private final PrintStream out;
    private final PrintStream err;
    private final Terminal terminal;
    private final boolean tables;

    /**
     * @param terminal where the progress bar goes
     * @param tables whether a person sees {@code out}
     */
    Commands(PrintStream out, PrintStream err, Terminal terminal, boolean tables) {
        this.out = out;
        this.err = err;
        this.terminal = terminal;
        this.tables = tables;
    }

    int run(String[] arguments) {
        CommandSpec named = arguments.length == 0 ? null : Syntax.only(arguments[0]);
        if (named == null && arguments.length > 0 && !arguments[0].startsWith("-")) {
            err.println("lacuna: '" + Text.printable(arguments[0]) + "' is none of the commands: " + Syntax.commandNames());
            err.println("Try 'lacuna --help'.");
            return USAGE;
        }
        CommandLine parser = new CommandLine(named == null ? Syntax.command() : named, Syntax.FACTORY);
        // An image may be called "@disk"; picocli would read "disk" for more arguments.
        parser.setExpandAtFiles(false);
        try {
            ParseResult result = parser.parseArgs(named == null ? arguments
                    : Arrays.copyOfRange(arguments, 1, arguments.length));
            while (result.hasSubcommand() && !result.isUsageHelpRequested()) {
                result = result.subcommand();
            }
            if (result.isUsageHelpRequested()) {
                result.commandSpec().commandLine().usage(out);
                return 0;
            }
            if (result.isVersionHelpRequested()) {
                parser.printVersionHelp(out);
                return 0;
            }
            return run(result);
        } catch (ParameterException e) {
            err.println("lacuna: " + Text.printable(String.valueOf(e.getMessage())));
            err.println("Try '" + e.getCommandLine().getCommandSpec().qualifiedName() + " --help'.");
            return USAGE;
        }
    }

    private int run(ParseResult result) {
        String command = Syntax.lastWord(result.commandSpec());
        if (command.equals(Syntax.NAME)) {
            result.commandSpec().commandLine().usage(err);
            return USAGE;
        }
        if (result.hasMatchedOption("--verbose")) {
            System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "debug");
        }
        if (command.equals(Syntax.COPY)) {
            return new CopyCommand(out, terminal).run(result);
        }
        if (command.equals(Syntax.UNDO)) {
            return new UndoCommand(out, terminal).run(result);
        }
        boolean inspect = command.equals(Syntax.INSPECT);
        ReportFile reportFile = null;
        int status = FAILED;
        try {
            if (command.equals(Syntax.VERIFY)) {
                return new VerifyCommand(out, terminal).run(result);
            }
            if (command.equals(Syntax.KEYGEN)) {
                return new KeygenCommand(out).run(result);
            }
            ReclaimOptions options = inspect ? inspectOptions(result) : reclaimOptions(result);
            List<Path> named = result.matchedPositionalValue(0, List.of());
            Signing signing = inspect ? null : Signing.of(result);
            List<Path> images = ImageFiles.expand(named);
            if (images.isEmpty()) {
                err.println("lacuna: no disk image in " + Text.printable(
                        named.stream().map(Path::toString).collect(Collectors.joining(", "))));
            }
            UndoCommand.requireOneFileAnImage(options.undo(), named, images, result);
            Path report = result.matchedOptionValue("--report", (Path) null);
            UndoCommand.requireAnotherPlaceThan(report, options.undo(), images, result);
            reportFile = report == null ? null : ReportFile.prepare(report, signing, options.verify() == Verify.LIVE
                    || signing != null);
            boolean json = result.hasMatchedOption("--json");
            Rendering rendering = new Rendering(inspect, options.purpose() == Purpose.DRY_RUN, json, tables, out);
            RunReport run = Batch.run(images, options, result.matchedOptionValue("--jobs", 1), listener(rendering));
            // A report that cannot be written makes nothing better.
            status = run.exitStatus() == DIFFERENT ? DIFFERENT : FAILED;
            if (json) {
                ReportJson.write(run, out);
            } else {
                rendering.summary(run);
            }
            if (reportFile != null) {
                reportFile.write(run);
            }
            return run.exitStatus();
        } catch (IOException e) {
            terminal.clear();
            err.println("lacuna: " + Text.printable(String.valueOf(e.getMessage())));
            return status;
        } finally {
            if (reportFile != null) {
                reportFile.discardUnlessWritten();
            }
        }
    }

    private Batch.Listener listener(Rendering rendering) {
        return new Batch.Listener() {
            @Override
            public Progress started(Path image) {
                return terminal.progress(image);
            }

            @Override
            public void ended(ImageReport report) {
                terminal.clear();
                rendering.image(report);
            }
        };
    }

    private static ReclaimOptions inspectOptions(ParseResult result) {
        return ReclaimOptions.builder()
                .purpose(Purpose.INSPECT)
                .format(result.matchedOptionValue("--format", (String) null))
                .allowedBackingDirectories(result.matchedOptionValue("--allow-backing", List.of()))
                .volumeOptions(volumeOptions(result))
                .build();
    }

    private static ReclaimOptions reclaimOptions(ParseResult result) {
        return ReclaimOptions.builder()
                .purpose(result.hasMatchedOption("--dry-run") ? Purpose.DRY_RUN : Purpose.RECLAIM)
                .mode(result.matchedOptionValue("--mode", ReclaimMode.DEALLOCATE))
                .granularity(result.matchedOptionValue("--granularity", 0L))
                .minExtent(result.matchedOptionValue("--min-extent", 0L))
                .format(result.matchedOptionValue("--format", (String) null))
                .allowedBackingDirectories(result.matchedOptionValue("--allow-backing", List.of()))
                .volumeOptions(volumeOptions(result))
                .includes(Set.copyOf(result.matchedOptionValue("--include", List.of())))
                .zeroes(result.hasMatchedOption("--zeroes"))
                .undo(result.matchedOptionValue("--undo", (Path) null))
                // Who signs wants to prove something.
                .verify(result.matchedOptionValue("--verify", result.hasMatchedOption("--sign") ? Verify.LIVE : Verify.NONE))
                .listDiscarded(result.hasMatchedOption("--sign"))
                .children(children(result))
                .build();
    }

    private static List<Path> children(ParseResult result) {
        List<Path> children = result.matchedOptionValue("--children", List.of());
        for (Path child : children) {
            // A name that is mistyped would be a child that nobody asks.
            if (!Files.exists(child)) {
                throw new ParameterException(result.commandSpec().commandLine(), "--children: " + child
                        + ": no such file or directory");
            }
        }
        return children;
    }

    static VolumeOptions volumeOptions(ParseResult result) {
        return new VolumeOptions(result.hasMatchedOption("--replay-journal"), result.hasMatchedOption("--cross-check"));
    }
}
