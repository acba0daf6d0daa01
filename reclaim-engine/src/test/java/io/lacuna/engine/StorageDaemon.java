package io.lacuna.engine;

import io.lacuna.fixtures.Tools;
import java.io.Closeable;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** QEMU's block layer with an overlay open for writing, as a running machine has it: the overlay is served by NBD. */
final class StorageDaemon implements Closeable {

    private final Process process;
    private final Path socket;
    private final SocketChannel monitor;
    private final StringBuilder heard = new StringBuilder();

    private StorageDaemon(Process process, Path socket, SocketChannel monitor) {
        this.process = process;
        this.socket = socket;
        this.monitor = monitor;
    }

    /** Nodes "base" (read-only) and "child". */
    static StorageDaemon start(Path base, String baseFormat, Path child, Path directory) throws IOException {
        Tools.require("qemu-storage-daemon", "qemu-io");
        Path socket = directory.resolve(child.getFileName() + ".nbd");
        Path control = directory.resolve(child.getFileName() + ".qmp");
        Process process = new ProcessBuilder("qemu-storage-daemon",
                "--blockdev", "driver=" + baseFormat + ",node-name=base,read-only=on,file.driver=file,file.filename=" + base,
                "--blockdev", "driver=qcow2,node-name=child,backing=base,file.driver=file,file.filename=" + child,
                "--nbd-server", "addr.type=unix,addr.path=" + socket,
                "--export", "type=nbd,id=e,node-name=child,name=child,writable=on",
                "--chardev", "socket,id=c,path=" + control + ",server=on,wait=off", "--monitor", "chardev=c")
                .redirectErrorStream(true).redirectOutput(directory.resolve(child.getFileName() + ".log").toFile()).start();
        SocketChannel monitor = SocketChannel.open(StandardProtocolFamily.UNIX);
        for (int i = 0; !monitor.isConnected(); i++) {
            try {
                monitor.connect(UnixDomainSocketAddress.of(control));
            } catch (IOException notYet) {
                monitor = SocketChannel.open(StandardProtocolFamily.UNIX);
                if (i > 200 || !process.isAlive()) {
                    throw new AssertionError(Files.readString(directory.resolve(child.getFileName() + ".log")));
                }
                pause();
            }
        }
        StorageDaemon daemon = new StorageDaemon(process, socket, monitor);
        daemon.command("{\"execute\":\"qmp_capabilities\"}");
        return daemon;
    }

    /** @return the answer, or the error, as it comes */
    String command(String json) throws IOException {
        monitor.write(ByteBuffer.wrap((json + "\n").getBytes(StandardCharsets.UTF_8)));
        while (true) {
            int end = heard.indexOf("\n");
            if (end >= 0) {
                String line = heard.substring(0, end);
                heard.delete(0, end + 1);
                if (line.contains("\"return\"") || line.contains("\"error\"")) {
                    return line;
                }
                continue;
            }
            ByteBuffer bytes = ByteBuffer.allocate(8192);
            if (monitor.read(bytes) < 0) {
                throw new AssertionError("the monitor is gone after " + json);
            }
            heard.append(StandardCharsets.UTF_8.decode(bytes.flip()));
        }
    }

    String commit() throws IOException {
        return command("{\"execute\":\"block-commit\",\"arguments\":{\"job-id\":\"commit\",\"device\":\"child\","
                + "\"base-node\":\"base\"}}");
    }

    /** Waits until a commit that was let start has brought all down, and ends it. */
    void finishCommit() throws IOException {
        for (int i = 0; i < 400 && !command("{\"execute\":\"query-block-jobs\"}").contains("\"ready\": true"); i++) {
            pause();
        }
        command("{\"execute\":\"block-job-complete\",\"arguments\":{\"device\":\"commit\"}}");
        for (int i = 0; i < 400 && command("{\"execute\":\"query-block-jobs\"}").contains("commit"); i++) {
            pause();
        }
    }

    /** Runs commands of qemu-io on the overlay, as its guest would. */
    String io(String... commands) {
        StringBuilder input = new StringBuilder();
        for (String command : commands) {
            input.append(command).append('\n');
        }
        String output = Tools.okWithInput(input.toString(), "qemu-io", "-f", "raw", "nbd+unix:///child?socket=" + socket);
        if (output.contains("failed") || output.contains("rror")) {
            throw new AssertionError(output);
        }
        return output;
    }

    long process() {
        return process.pid();
    }

    static void pause() {
        try {
            Thread.sleep(25);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() throws IOException {
        try {
            monitor.write(ByteBuffer.wrap("{\"execute\":\"quit\"}\n".getBytes(StandardCharsets.UTF_8)));
            monitor.close();
        } catch (IOException gone) {
            // It ended by itself.
        }
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
