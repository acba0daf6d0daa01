package io.lacuna.cli;

import static io.lacuna.cli.CommandRun.lacuna;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Signed reports, against OpenSSL. */
class SignatureTest {

    /** Keys and certificates, all made by OpenSSL: $1 is the directory. */
    private static final String KEYS = """
            cd "$1"
            cat > ext.cnf <<'END'
            [ca]
            basicConstraints=critical,CA:TRUE
            keyUsage=critical,keyCertSign,cRLSign
            [leaf]
            basicConstraints=CA:FALSE
            keyUsage=critical,digitalSignature
            [tsa]
            basicConstraints=CA:FALSE
            keyUsage=critical,digitalSignature
            extendedKeyUsage=critical,timeStamping
            [server]
            basicConstraints=CA:FALSE
            extendedKeyUsage=serverAuth,clientAuth
            [person]
            basicConstraints=CA:FALSE
            extendedKeyUsage=clientAuth
            [req]
            distinguished_name=dn
            [dn]
            END
            openssl genpkey -algorithm ED25519 -out bare.pem
            openssl pkey -in bare.pem -pubout -out bare.pub
            openssl genpkey -algorithm ED25519 -out other.pem
            openssl pkey -in other.pem -pubout -out other.pub
            make() { # name, subject, extensions, issuer, days, key options
                name=$1; subject=$2; extensions=$3; issuer=$4; days=$5; shift 5
                openssl genpkey "$@" -out $name.key 2> /dev/null
                openssl req -new -key $name.key -subj "$subject" -config ext.cnf -out $name.csr
                if [ $issuer = self ]; then
                    openssl x509 -req -in $name.csr -signkey $name.key -days $days -extfile ext.cnf \
                        -extensions $extensions -out $name.crt
                else
                    openssl x509 -req -in $name.csr -CA $issuer.crt -CAkey $issuer.key -CAcreateserial -days $days \
                        -extfile ext.cnf -extensions $extensions -out $name.crt
                fi 2> /dev/null
            }
            EC='-algorithm EC -pkeyopt ec_paramgen_curve:P-256'
            make root '/CN=Root of trust' ca self 3650 $EC
            make middle '/CN=Middle' ca root 3650 $EC
            make leaf '/CN=Examiner \\, Ltd' leaf middle 3650 $EC
            make tsa '/CN=Clock' tsa root 3650 $EC
            make server '/CN=Server' server root 3650 $EC
            make person '/CN=Person' person root 3650 $EC
            make late '/CN=Late' leaf root -1 $EC
            make below '/CN=Below' leaf leaf 3650 $EC
            openssl x509 -req -sha1 -in person.csr -CA root.crt -CAkey root.key -days 9 -extfile ext.cnf \
                -extensions person -out weak.crt 2> /dev/null
            cp person.key weak.key
            openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
                -pkeyopt rsa_keygen_pubexp:1267650600228229401496703205377 -out wide.key 2> /dev/null
            openssl req -new -key wide.key -subj /CN=Wide -config ext.cnf -out wide.csr
            openssl x509 -req -in wide.csr -CA root.crt -CAkey root.key -days 9 -extfile ext.cnf -extensions leaf \
                -out wide.crt 2> /dev/null
            openssl x509 -in leaf.crt -noout -pubkey > leaf.pub
            for name in tsa server late; do cat $name.key $name.crt > $name.pem; done
            cat root.key root.crt > root.pem
            make rsa '/CN=Self-made' leaf self 3650 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
            make ed '/CN=Edwards' leaf root 3650 -algorithm ED25519
            cat leaf.key leaf.crt middle.crt > ecdsa.pem
            cat rsa.crt rsa.key > rsa.pem
            cat ed.key ed.crt > ed.pem
            openssl pkcs12 -export -inkey leaf.key -in leaf.crt -certfile middle.crt -passout pass:secret -out ecdsa.p12
            (openssl pkcs8 -topk8 -in leaf.key -passout pass:secret; cat leaf.crt middle.crt) > locked.pem
            printf 'secret\\nmore\\n' > password
            cat > tsa.cnf <<'END'
            [tsa]
            default_tsa=it
            [it]
            dir=.
            serial=$dir/serial
            crypto_device=builtin
            signer_cert=$dir/tsa.crt
            certs=$dir/root.crt
            signer_key=$dir/tsa.key
            signer_digest=sha256
            default_policy=1.2.3.4.1
            digests=sha256,sha384,sha512
            ess_cert_id_alg=sha256
            END
            echo 01 > serial
            """;

    @TempDir
    static Path keys;
    @TempDir
    static Path shared;

    private static Path volume;

    @TempDir
    Path directory;

    private Path image;
    private Path report;

    @BeforeAll
    static void makeKeys() throws IOException {
        Tools.require("openssl");
        volume = GuestVolume.ext(shared, "volume", 16 << 20, "-t ext4").file();
        Tools.shell(KEYS, keys);
    }

    @BeforeEach
    void copyImage() {
        image = directory.resolve("vm.raw");
        report = directory.resolve("run.json");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; sync \"$2\"", volume, image);
    }

    private Path key(String name) {
        return keys.resolve(name);
    }

    private Path beside(String suffix) {
        return directory.resolve("run.json" + suffix);
    }

    private CommandRun sign(Object... more) {
        Object[] all = new Object[more.length + 4];
        all[0] = "reclaim";
        all[1] = "--report";
        all[2] = report;
        System.arraycopy(more, 0, all, 3, more.length);
        all[all.length - 1] = image;
        return lacuna(all);
    }

    private static void assertStatus(int status, String says, CommandRun run) {
        assertEquals(status, run.status(), run.toString());
        assertTrue((run.out() + run.err()).contains(says), run.toString());
    }

    private void flip(Path file, long offset) {
        Tools.shell("byte=$(dd if=\"$1\" bs=1 skip=$2 count=1 status=none | od -An -tu1)\n"
                + "printf \"\\\\x$(printf %x $((byte ^ 1)))\" | dd of=\"$1\" bs=1 seek=$2 conv=notrunc status=none", file, offset);
    }

    @Test
    void ed25519() throws IOException {
        assertStatus(0, "live bytes before and after are the same", sign("--sign", key("bare.pem")));
        assertEquals(64, Files.size(beside(".sig")));
        Tools.ok("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key("bare.pub").toString(), "-sigfile",
                beside(".sig").toString(), "-in", report.toString());
        assertStatus(0, "are those of the report", lacuna("verify", "--key", key("bare.pub"), report, image));
        String named = Tools.shell("openssl pkey -pubin -in \"$1\" -outform DER | sha256sum | cut -d ' ' -f 1",
                key("bare.pub")).strip();
        assertTrue(Files.readString(report).contains("\"keySha256\":\"" + named + "\""));
    }

    @Test
    void reportIsCanonicalAndHasAllThatWasFreed() throws IOException {
        assertEquals(0, sign("--sign", key("bare.pem")).status());
        Tools.require("jq");
        // For ASCII and integers jq's sorted, compact output is the canonical form.
        assertEquals(Tools.ok("jq", "-cS", ".", report.toString()).strip(), Files.readString(report));
        assertEquals("true", Tools.ok("jq", ".images[0].proof | .discardedBytes == ([.discarded[][1]] | add) and .discardedExtents "
                + "== (.discarded | length) and .before == .after and (.fileBefore.inode == .fileAfter.inode)",
                report.toString()).strip());
    }

    @ParameterizedTest
    @CsvSource({"rsa.pem,rsa.crt,", "ecdsa.pem,root.crt,", "ecdsa.p12,root.crt,password", "locked.pem,root.crt,password"})
    void cms(String signer, String ca, String password) {
        assertStatus(0, "reclaimed", password == null ? sign("--sign", key(signer))
                : sign("--sign", key(signer), "--password-file", key(password)));
        Tools.ok("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", beside(".p7s").toString(), "-content",
                report.toString(), "-CAfile", key(ca).toString(), "-out", "/dev/null");
        assertStatus(0, "are those of the report", lacuna("verify", "--ca", key(ca), report, image));
        assertStatus(4, "not the authority", lacuna("verify", "--ca", key(ca.equals("rsa.crt") ? "root.crt" : "rsa.crt"), report,
                image));
    }

    /** OpenSSL before 3.2 has no Ed25519 in CMS. */
    @Test
    void cmsWithEd25519() {
        assertStatus(0, "reclaimed", sign("--sign", key("ed.pem")));
        if (Tools.ok("openssl", "version").matches("(?s)OpenSSL 3\\.([2-9]|[1-9]\\d).*")) {
            Tools.ok("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", beside(".p7s").toString(), "-content",
                    report.toString(), "-CAfile", key("root.crt").toString(), "-out", "/dev/null");
        }
        assertStatus(0, "signature is good", lacuna("verify", "--ca", key("root.crt"), report));
        flip(report, 40);
        assertStatus(4, "report was changed", lacuna("verify", "--ca", key("root.crt"), report));
    }

    @Test
    void whatWasChangedIsToldApartByName() throws IOException {
        assertEquals(0, sign("--sign", key("bare.pem")).status());
        Object[] verify = {"verify", "--key", key("bare.pub"), report, image};
        assertStatus(4, "not the key", lacuna("verify", "--key", key("other.pub"), report, image));

        for (long at : new long[] {0, 40, Files.size(report) / 2, Files.size(report) - 2}) {
            flip(report, at);
            assertStatus(4, "report was changed", lacuna(verify));
            flip(report, at);
        }
        flip(beside(".sig"), 20);
        assertStatus(4, "or its signature was", lacuna(verify));
        flip(beside(".sig"), 20);

        String first = Tools.ok("jq", "-r", ".images[0].proof.discarded[0][0]", report.toString()).strip();
        flip(image, Long.parseLong(first) + 5);
        assertStatus(0, "are those of the report", lacuna(verify));
        flip(image, Long.parseLong(first) - 1);
        assertStatus(4, "live bytes of the image are not those", lacuna(verify));
        flip(image, Long.parseLong(first) - 1);
        assertStatus(0, "are those of the report", lacuna(verify));

        Tools.shell("truncate -s +512 \"$1\"", image);
        assertStatus(4, "another disk", lacuna(verify));
        Files.delete(beside(".sig"));
        assertStatus(4, "no signature beside it", lacuna(verify));
        assertStatus(4, "it says that it was signed", lacuna("verify", report, image));
    }

    private void signByOpenssl(String signer, String digest) {
        Tools.shell("openssl cms -sign -binary -nosmimecap -md $4 -signer \"$1.crt\" -inkey \"$1.key\" -in \"$2\" -outform DER "
                + "-out \"$3\"", key(signer), report, beside(".p7s"), digest);
    }

    /** Whoever has some certificate of an authority that is trusted as well must not sign in the named signer's place. */
    @Test
    void aNamedKeyIsTheOnlyOneThatMayHaveSigned() throws IOException {
        assertEquals(0, sign("--sign", key("bare.pem")).status());
        Files.delete(beside(".sig"));
        signByOpenssl("leaf", "sha256");
        assertStatus(4, "this is not the key", lacuna("verify", "--key", key("bare.pub"), "--ca", key("leaf.crt"), report));
        assertStatus(4, "this is not the key", lacuna("verify", "--key", key("bare.pub"), report));
        assertStatus(4, "not the signer that the report names", lacuna("verify", "--ca", key("leaf.crt"), report));

        assertEquals(0, sign("--sign", key("ecdsa.pem")).status());
        assertStatus(0, "signature is good", lacuna("verify", "--key", key("leaf.pub"), "--ca", key("root.crt"), report));
        assertStatus(0, "signature is good", lacuna("verify", "--key", key("leaf.pub"), report));
        assertStatus(4, "not the authority", lacuna("verify", "--key", key("leaf.pub"), "--ca", key("rsa.crt"), report));
        assertStatus(4, "this is not the key", lacuna("verify", "--key", key("other.pub"), "--ca", key("root.crt"), report));
        assertStatus(2, "no public key", lacuna("verify", "--key", key("leaf.key"), "--ca", key("root.crt"), report));
        Files.write(beside(".sig"), new byte[64]);
        assertStatus(0, "signature is good", lacuna("verify", "--ca", key("root.crt"), report));
    }

    @ParameterizedTest
    @CsvSource({"tsa,sha256,its extended key usage", "server,sha256,its extended key usage", "root,sha256,its key usage",
        "leaf,sha1,does not bind", "late,sha256,not to be believed", "wide,sha256,larger than any in use",
        "weak,sha256,was signed with SHA1"})
    void whatIsCertifiedForSomethingElseSignsNoReport(String signer, String digest, String says) {
        assertEquals(0, sign("--verify", "live").status());
        signByOpenssl("leaf", "sha256");
        assertStatus(0, "signature is good", lacuna("verify", "--ca", key("leaf.crt"), report));
        signByOpenssl("person", "sha256");
        assertStatus(0, "signature is good", lacuna("verify", "--ca", key("root.crt"), report));
        signByOpenssl(signer, digest);
        assertStatus(4, says, lacuna("verify", "--ca", key(signer.equals("leaf") ? "leaf.crt" : "root.crt"), report));
    }

    /** Whoever is trusted to sign is not by that trusted to certify others. */
    @Test
    void aSignersCertificateIsNoAuthority() {
        assertEquals(0, sign("--verify", "live").status());
        signByOpenssl("below", "sha256");
        assertStatus(4, "none of them is an authority's", lacuna("verify", "--ca", key("leaf.crt"), report));
    }

    /** All ways through them would be tried. */
    @Test
    void aSignatureWithACrowdOfCertificatesIsNotFollowed() {
        assertEquals(0, sign("--verify", "live").status());
        Tools.shell("cd \"$1\"; for i in 1 2 3 4 5 6 7 8 9; do openssl x509 -req -in middle.csr -signkey middle.key -days 9 "
                + "-extfile ext.cnf -extensions ca 2> /dev/null; done > crowd.pem; openssl cms -sign -binary -signer leaf.crt "
                + "-inkey leaf.key -certfile crowd.pem -in \"$2\" -outform DER -out \"$3\"", keys, report, beside(".p7s"));
        assertStatus(4, "certificates beside it", lacuna("verify", "--ca", key("root.crt"), report));
    }

    @Test
    void rsaWithTheNewerPadding() {
        assertEquals(0, sign("--verify", "live").status());
        Tools.shell("openssl cms -sign -binary -md sha256 -signer \"$1.crt\" -inkey \"$1.key\" -keyopt rsa_padding_mode:pss "
                + "-in \"$2\" -outform DER -out \"$3\"", key("rsa"), report, beside(".p7s"));
        assertStatus(0, "signature is good", lacuna("verify", "--ca", key("rsa.crt"), report));
    }

    @ParameterizedTest
    @ValueSource(strings = {".sig", ".p7s", ".tsr"})
    void whateverLiesInASignaturesPlaceIsReadAsFarAsASignatureGoes(String suffix) throws IOException {
        assertEquals(0, sign("--sign", key(suffix.equals(".sig") ? "bare.pem" : "ecdsa.pem")).status());
        Object[] verify = {"verify", "--key", key(suffix.equals(".sig") ? "bare.pub" : "leaf.pub"), report};
        assertEquals(0, lacuna(verify).status());
        for (String other : new String[] {"mkfifo \"$1\"", "mkdir \"$1\"", "ln -s /dev/zero \"$1\"", "truncate -s 4G \"$1\""}) {
            Files.deleteIfExists(beside(suffix));
            Tools.shell(other, beside(suffix));
            assertStatus(4, "no regular file, or too large", lacuna(verify));
        }
    }

    @Test
    void aReportThatContradictsItselfIsNone() throws IOException {
        assertEquals(0, sign("--verify", "live").status());
        assertStatus(0, "left out as discarded", lacuna("verify", report, image));
        Tools.require("jq");
        Tools.shell("jq -cS '.images[0].proof.before = \"00\"' \"$1\" > \"$1.new\"; mv \"$1.new\" \"$1\"", report);
        assertStatus(4, "contradicts itself", lacuna("verify", report, image));
    }

    @Test
    void changesUnderACmsSignatureAreToldApart() throws IOException {
        assertEquals(0, sign("--sign", key("ecdsa.pem")).status());
        Object[] verify = {"verify", "--ca", key("root.crt"), report};
        flip(report, 300);
        assertStatus(4, "report was changed", lacuna(verify));
        flip(report, 300);
        long size = Files.size(beside(".p7s"));
        flip(beside(".p7s"), size - 3);
        assertStatus(4, "signature was changed", lacuna(verify));
        flip(beside(".p7s"), size - 3);
        for (long at = 0; at < size; at += 37) {
            flip(beside(".p7s"), at);
            int status = lacuna(verify).status();
            assertTrue(status == 4 || status == 0, "byte " + at + ": " + status);
            flip(beside(".p7s"), at);
        }
        assertStatus(0, "signature is good", lacuna(verify));
    }

    @Test
    void timeStampOfAResponderOnThisMachine() throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/tsa", exchange -> {
            Path query = Files.createTempFile(directory, "query", ".tsq");
            Files.write(query, exchange.getRequestBody().readAllBytes());
            byte[] answer = Files.readAllBytes(answer(query));
            exchange.getResponseHeaders().set("Content-Type", "application/timestamp-reply");
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.createContext("/nonsense", exchange -> {
            exchange.sendResponseHeaders(200, 3);
            exchange.getResponseBody().write(new byte[] {1, 2, 3});
            exchange.close();
        });
        server.start();
        String base = "http://127.0.0.1:" + server.getAddress().getPort();
        try {
            assertStatus(0, "reclaimed", sign("--sign", key("ecdsa.pem"), "--timestamp", base + "/tsa"));
            Tools.ok("openssl", "ts", "-verify", "-in", beside(".tsr").toString(), "-data", beside(".p7s").toString(), "-CAfile",
                    key("root.crt").toString());
            assertStatus(0, "time stamp is good", lacuna("verify", "--ca", key("root.crt"), report, image));
            CommandRun failed = sign("--sign", key("ecdsa.pem"), "--timestamp", base + "/nonsense");
            assertStatus(1, "has no time stamp", failed);
            assertStatus(0, "signature is good", lacuna("verify", "--ca", key("root.crt"), report, image));
            assertFalse(Files.exists(beside(".tsr")), "the stamp of the report before is gone with it");
        } finally {
            server.stop(0);
        }
        String state = Tools.ok("stat", "-c", "%y %z", image.toString());
        assertStatus(1, "does not answer", sign("--sign", key("ecdsa.pem"), "--timestamp", base + "/tsa"));
        assertStatus(2, "on this machine", sign("--sign", key("ecdsa.pem"), "--timestamp", "http://example.com/tsa"));
        assertStatus(2, "on this machine", sign("--sign", key("ecdsa.pem"), "--timestamp", "https://127.0.0.1/tsa"));
        assertEquals(state, Tools.ok("stat", "-c", "%y %z", image.toString()), "nothing was changed");
    }

    private static Path answer(Path query) {
        Path answer = query.resolveSibling(query.getFileName() + ".tsr");
        Tools.shell("cd \"$1\"; openssl ts -reply -config tsa.cnf -section it -queryfile \"$2\" -out \"$3\" 2> /dev/null", keys,
                query,
                answer);
        return answer;
    }

    @Test
    void timeStampFromAFile() throws IOException {
        Path query = directory.resolve("run.tsq");
        assertStatus(0, "reclaimed", sign("--sign", key("bare.pem"), "--timestamp", query));
        Path answer = answer(query);
        Object[] verify = {"verify", "--key", key("bare.pub"), "--ca", key("root.crt"), "--timestamp", answer, report, image};
        assertStatus(0, "time stamp is good", lacuna(verify));
        assertStatus(0, "was not checked", lacuna("verify", "--key", key("bare.pub"), "--timestamp", answer, report));
        assertStatus(0, "time stamp is good", lacuna("verify", "--key", key("bare.pub"), "--timestamp-ca", key("root.crt"),
                "--timestamp", answer, report));
        assertStatus(4, "authority", lacuna("verify", "--key", key("bare.pub"), "--ca", key("root.crt"), "--timestamp-ca",
                key("rsa.crt"), "--timestamp", answer, report));
        assertStatus(4, "no time stamp beside it", lacuna("verify", "--key", key("bare.pub"), "--timestamp-ca", key("root.crt"),
                report));
        assertStatus(1, "no such file", lacuna("verify", "--key", key("bare.pub"), "--timestamp", directory.resolve("none"),
                report));
        assertStatus(4, "authority", lacuna("verify", "--key", key("bare.pub"), "--ca", key("rsa.crt"), "--timestamp", answer,
                report));

        Path token = directory.resolve("token");
        Tools.ok("openssl", "ts", "-reply", "-in", answer.toString(), "-token_out", "-out", token.toString());
        Files.copy(token, beside(".tsr"));
        assertStatus(0, "time stamp is good", lacuna("verify", "--key", key("bare.pub"), "--ca", key("root.crt"), report, image));
        flip(token, Files.size(token) - 3);
        assertStatus(4, "time stamp", lacuna("verify", "--key", key("bare.pub"), "--timestamp", token, report));

        Path other = directory.resolve("other.tsq");
        Tools.ok("openssl", "ts", "-query", "-cert", "-sha256", "-data", report.toString(), "-out", other.toString());
        assertStatus(4, "another signature", lacuna("verify", "--key", key("bare.pub"), "--timestamp", answer(other), report));
        assertStatus(2, "is there already", sign("--sign", key("bare.pem"), "--timestamp", query));
        Files.delete(beside(".tsr"));
        assertStatus(2, "name another file for the request", sign("--sign", key("bare.pem"), "--timestamp", beside(".tsr")));
        assertStatus(2, "cannot be written", sign("--sign", key("bare.pem"), "--timestamp", directory.resolve("none/query")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"bare.pub", "root.crt", "rsa.key", "password", "locked.pem", "ecdsa.p12", "serial",
        "root.pem", "tsa.pem", "server.pem", "late.pem"})
    void keyThatCannotSignIsFoundOutBeforeAnyChange(String key) {
        String state = Tools.ok("stat", "-c", "%y %z %b", image.toString());
        CommandRun run = sign("--sign", key(key));
        assertEquals(2, run.status(), run.toString());
        assertTrue(run.err().contains("cannot be used"), run.err());
        assertEquals(state, Tools.ok("stat", "-c", "%y %z %b", image.toString()));
        assertFalse(Files.exists(report));
    }

    @Test
    void keyThatCannotBeReadIsStatus1() {
        assertEquals(1, sign("--sign", key("none.pem")).status());
        assertEquals(2, lacuna("reclaim", "--sign", key("bare.pem"), image).status(), "there must be a report to sign");
        assertEquals(2, sign("--timestamp", "http://127.0.0.1/").status());
        assertEquals(1, lacuna("verify", directory.resolve("none.json")).status());
    }

    @Test
    void keygenNeverReplacesAKey() throws IOException {
        Path mine = directory.resolve("mine");
        assertStatus(0, "public key", lacuna("keygen", mine));
        assertEquals("600", Tools.ok("stat", "-c", "%a", mine.toString()).strip());
        Tools.ok("openssl", "pkey", "-in", mine.toString(), "-noout");
        assertEquals(Tools.ok("openssl", "pkey", "-in", mine.toString(), "-pubout"),
                Files.readString(directory.resolve("mine.pub")));
        String before = Tools.ok("sha256sum", mine.toString());
        assertStatus(1, "never replaced", lacuna("keygen", mine));
        Files.delete(directory.resolve("mine.pub"));
        assertStatus(1, "never replaced", lacuna("keygen", mine));
        assertFalse(Files.exists(directory.resolve("mine.pub")));
        assertEquals(before, Tools.ok("sha256sum", mine.toString()));
        assertStatus(0, "reclaimed", sign("--sign", mine));
    }

    @Test
    void signatureOfAReplacedReportGoesWithItAndNothingElseEverDoes() throws IOException {
        assertEquals(0, sign("--sign", key("bare.pem")).status());
        assertEquals(0, sign("--sign", key("ecdsa.pem")).status());
        assertFalse(Files.exists(beside(".sig")));
        assertStatus(0, "signature is good", lacuna("verify", "--ca", key("root.crt"), report));
        Files.writeString(beside(".sig"), "my own notes");
        assertStatus(1, "no signature of Lacuna", sign("--sign", key("bare.pem")));
        assertEquals("my own notes", Files.readString(beside(".sig")));
        Files.delete(beside(".sig"));
        Files.delete(report);
        assertStatus(1, "without its report", sign());
        assertTrue(Files.exists(beside(".p7s")));
    }

    @Test
    void dryRunCanBeSignedAndAReportNeedNotBe() {
        assertStatus(0, "digest", sign("--dry-run", "--sign", key("bare.pem")));
        assertStatus(0, "are those of the report", lacuna("verify", "--key", key("bare.pub"), report, image));
        assertStatus(0, "reclaimed", lacuna("reclaim", image));
        assertStatus(0, "are those of the report", lacuna("verify", "--key", key("bare.pub"), report, image));
        assertStatus(0, "nothing to reclaim", sign("--sign", key("bare.pem"), "--verify", "none"));
        assertStatus(2, "no digest", lacuna("verify", "--key", key("bare.pub"), report, image));
        assertStatus(0, "nothing to reclaim", sign("--verify", "live"));
        assertStatus(0, "not signed", lacuna("verify", report, image));
        assertStatus(0, "\"liveBytes\":\"good\"", lacuna("verify", "--json", report, image));
    }
}
