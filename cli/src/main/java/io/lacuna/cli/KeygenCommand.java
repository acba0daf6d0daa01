package io.lacuna.cli;

import io.lacuna.engine.proof.KeyFiles;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import picocli.CommandLine.ParseResult;

/** The command that makes a key. */
final class KeygenCommand {

    private final PrintStream out;

    KeygenCommand(PrintStream out) {
        this.out = out;
    }

    /** @return the exit status */
    int run(ParseResult result) throws IOException {
        Path key = result.matchedPositionalValue(0, (Path) null);
        try {
            String fingerprint = KeyFiles.generate(key);
            out.println(Text.printable(key.toString()) + ": the private key; keep it to yourself");
            out.println(Text.printable(KeyFiles.publicKeyOf(key).toString()) + ": the public key, sha256 " + fingerprint);
            return 0;
        } catch (FileAlreadyExistsException e) {
            throw new IOException(e.getFile() + " is there already, and a key is never replaced; name another file", e);
        } catch (FileSystemException e) {
            throw new IOException("the key cannot be written: " + e, e);
        }
    }
}
