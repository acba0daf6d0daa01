package io.lacuna.diskimage;

import java.io.BufferedReader;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.concurrent.TimeUnit;

/** A program of the host that has an image open until it is closed. */
final class Holder implements Closeable {

    private final Process process;

    private Holder(Process process) {
        this.process = process;
    }

    /** Starts qemu-io with these arguments and waits until it has read from the image. */
    static Holder qemuIo(String... arguments) throws IOException {
        String[] command = new String[arguments.length + 1];
        command[0] = "qemu-io";
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        return start("read 0 512\n", "bytes at offset 0", command);
    }

    /** Starts Python 3, which runs a script and then waits. */
    static Holder python(String script, String... arguments) throws IOException {
        String[] command = new String[arguments.length + 3];
        command[0] = "python3";
        command[1] = "-c";
        command[2] = script + "\nprint('ready', flush=True)\nimport sys; sys.stdin.read()";
        System.arraycopy(arguments, 0, command, 3, arguments.length);
        return start("", "ready", command);
    }

    private static Holder start(String input, String sign, String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().write(input.getBytes());
        process.getOutputStream().flush();
        BufferedReader output = new BufferedReader(new InputStreamReader(process.getInputStream()));
        StringBuilder seen = new StringBuilder();
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            seen.append(line).append('\n');
            if (line.contains(sign)) {
                return new Holder(process);
            }
        }
        throw new AssertionError(String.join(" ", command) + ":\n" + seen);
    }

    long process() {
        return process.pid();
    }

    @Override
    public void close() throws IOException {
        process.destroyForcibly();
        try {
            process.waitFor(20, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
