package io.lacuna.cli;

import io.lacuna.engine.ReclaimOptions.Verify;
import picocli.CommandLine.Model.CommandSpec;

/** The options and commands that prove what a run has done. */
final class ProofSyntax {

    private ProofSyntax() {
    }

    /** Adds what a run needs to prove itself. */
    static void addTo(CommandSpec reclaim) {
        reclaim.addOption(Syntax.value("WHAT", Verify.class, "live: read all bytes that stay, before and after, and compare their "
                + "SHA-256; a difference is status 4. none (default, unless --sign is given): compare nothing.", "--verify")
                .converters(new Converter<>(Values.word(Verify.class))).build());
        reclaim.addOption(Syntax.file("KEY", "Sign the report with KEY: PEM with an Ed25519 key (FILE.sig; see 'lacuna keygen'), "
                + "or with an RSA, ECDSA or Ed25519 key and its certificates, or PKCS#12 (FILE.p7s). Sets --verify live.",
                "--sign"));
        reclaim.addOption(Syntax.file("FILE", "The first line of FILE is the password of KEY.", "--password-file"));
        reclaim.addOption(Syntax.value("URL|FILE", String.class, "Have the signature stamped (RFC 3161) by a responder on this "
                + "machine, http://127.0.0.1/...; or write the request for one elsewhere to FILE.", "--timestamp").build());
    }

    static CommandSpec verify() {
        CommandSpec spec = Syntax.forImages(Syntax.VERIFY);
        spec.usageMessage()
                .description("Verifies the signature of a report, and then, if an image is named, that its live bytes are those of "
                        + "the report. Reads only.", "")
                .footer("", "Examples:",
                        "  lacuna verify --key examiner.pub run.json    by the signature run.json.sig",
                        "  lacuna verify --ca ca.pem run.json vm.qcow2  by run.json.p7s, and the image",
                        "  lacuna verify --ca ca.pem --timestamp answer.tsr run.json",
                        "", "Exit status: 0 all is as reported, 1 an I/O or internal failure, 2 usage, or nothing in "
                        + "the report to compare with, 3 the image is refused (in use, for instance), 4 a difference: what was "
                        + "changed (report, signature, key or image) is named.");
        spec.addOption(Syntax.file("PUB", "The signer's public key (PEM), the only one that may have signed. A bare key is "
                + "Ed25519; for a certificate it is that one's key.", "--key"));
        spec.addOption(Syntax.file("CERT", "Certificates that you trust (PEM): of the signer, or of an authority above him. "
                + "Whoever it certifies to sign documents counts as a signer, unless --key says which one.", "--ca"));
        spec.addOption(Syntax.file("CERT", "Certificates that you trust (PEM): of a time-stamp authority, or of one above it. "
                + "Then there must be a stamp; without it those of --ca count for one that is there.", "--timestamp-ca"));
        spec.addOption(Syntax.file("FILE", "A time stamp of the signature, response or token (default: REPORT.tsr, if it is "
                + "there).", "--timestamp"));
        spec.addPositional(Syntax.position("0", "REPORT", "1", "Report that reclaim --report has written."));
        spec.addPositional(Syntax.position("1", "IMAGE", "0..1", "Image or block device to compare with it."));
        return spec;
    }

    static CommandSpec keygen() {
        CommandSpec spec = Syntax.newSpec().name(Syntax.KEYGEN);
        spec.addOption(Syntax.help());
        spec.usageMessage()
                .description("Makes an Ed25519 key to sign reports with: the private one in KEY, for your eyes only, and the "
                        + "public one in KEY.pub, for everybody who verifies. Never replaces a file.", "")
                .footer("", "Examples:", "  lacuna keygen examiner", "", "Exit status: 0 done, 1 an I/O failure, 2 usage.");
        spec.addPositional(Syntax.position("0", "KEY", "1", "The new file."));
        return spec;
    }
}
