package io.lacuna.cli;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * One run of the command in this process.
 *
 * @param status exit status
 * @param out all of standard output
 * @param err all of standard error
 */
record CommandRun(int status, String out, String err) {

    static CommandRun lacuna(Object... arguments) {
        String[] words = new String[arguments.length];
        for (int i = 0; i < words.length; i++) {
            words[i] = arguments[i].toString();
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream outStream = new PrintStream(out, true, StandardCharsets.UTF_8);
        PrintStream errStream = new PrintStream(err, true, StandardCharsets.UTF_8);
        int status = Main.run(words, outStream, errStream, new Terminal(errStream, false), false);
        outStream.flush();
        errStream.flush();
        return new CommandRun(status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /** @return all that was said, for the message of a failed test */
    @Override
    public String toString() {
        return "status " + status + "\n" + out + err;
    }
}
