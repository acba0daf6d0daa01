package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A run of the real command, in a process of its own, with system calls that strace lets fail.
 *
 * @param trace what strace wrote of these calls: a line each, with the thread in front
 */
record InjectedRun(Tools.Result result, List<String> trace) {

    /**
     * @param directory for temporary files
     * @param of the file or device whose calls fail, beside no others
     * @param injections in the words of strace: {@code fsync:error=EIO:when=1}
     */
    static InjectedRun of(Path directory, Path of, List<String> injections, String... arguments) throws IOException {
        Path trace = directory.resolve("trace");
        List<String> words = new ArrayList<>(List.of("strace", "-f", "--seccomp-bpf", "-qq", "-o", trace.toString(), "-P",
                of.toString()));
        StringBuilder calls = new StringBuilder("trace=ioctl");
        for (String injection : injections) {
            calls.append(',').append(injection, 0, injection.indexOf(':'));
            words.addAll(List.of("-e", "inject=" + injection));
        }
        words.addAll(List.of("-e", calls.toString(), Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + directory, "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")), "io.lacuna.cli.Main"));
        words.addAll(List.of(arguments));
        Tools.Result result = Tools.run(words.toArray(String[]::new));
        String traced = Files.readString(trace);
        assertTrue(traced.contains("(INJECTED)"), () -> "nothing failed: " + traced + result.output());
        return new InjectedRun(result, traced.lines().toList());
    }
}
