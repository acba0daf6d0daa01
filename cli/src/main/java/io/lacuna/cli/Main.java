package io.lacuna.cli;

import io.lacuna.engine.Reclaimer;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * Entry point of the command. Exit status: 0 done, 1 an I/O or internal failure, 2 usage, 3 refused, nothing changed, 4 a
 * verification found a difference.
 */
public final class Main {

    private Main() {
    }

    public static void main(String[] arguments) {
        PrintStream out = stream(FileDescriptor.out);
        PrintStream err = stream(FileDescriptor.err);
        // The launcher can ask the shell which of them are terminals; Java 17 cannot tell for one stream.
        Terminal terminal = new Terminal(err, Boolean.getBoolean("lacuna.terminal.err"));
        int status = run(arguments, out, err, terminal, Boolean.getBoolean("lacuna.terminal.out"));
        out.flush();
        err.flush();
        // A full disk or a closed pipe under standard output: what was to be said did not arrive.
        System.exit(status == 0 && out.checkError() ? 1 : status);
    }

    /**
     * Runs one command.
     *
     * @param tables whether {@code out} is a terminal
     * @return the exit status
     */
    static int run(String[] arguments, PrintStream out, PrintStream err, Terminal terminal, boolean tables) {
        // Answered before the argument parser is even loaded: scripts ask for it often.
        if (arguments.length == 1 && (arguments[0].equals("--version") || arguments[0].equals("-V"))) {
            out.println("lacuna " + Reclaimer.VERSION);
            return 0;
        }
        new Loading().start();
        return new Commands(out, err, terminal, tables).run(arguments);
    }

    /**
     * Loads ahead while the arguments are parsed. What fails here fails again where it is needed, and is told there. A class, for
     * the first lambda of a start takes some milliseconds, which this thread has and the other one has not.
     */
    private static final class Loading extends Thread {

        Loading() {
            super("loading");
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                Reclaimer.prepare();
            } catch (LinkageError | RuntimeException toldLater) {
                // See above.
            }
        }
    }

    private static PrintStream stream(FileDescriptor descriptor) {
        return new PrintStream(new FileOutputStream(descriptor), false, StandardCharsets.UTF_8);
    }
}
