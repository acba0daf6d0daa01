package io.lacuna.engine.proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringWriter;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.List;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoGeneratorBuilder;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TSPAlgorithms;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampTokenGenerator;
import org.bouncycastle.util.CollectionStore;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Time stamps of an authority whose clock, certificate and digests are chosen here. */
class TimeStampTest {

    private static final Instant NOW = Instant.now();
    private static final Duration YEAR = Duration.ofDays(365);

    @TempDir
    Path directory;

    private Path report;
    private Path publicKey;
    private Path signature;
    private Path authority;

    @BeforeEach
    void sign() throws IOException {
        report = Files.write(directory.resolve("run.json"), "{}".getBytes(StandardCharsets.US_ASCII));
        Path key = directory.resolve("key");
        KeyFiles.generate(key);
        publicKey = KeyFiles.publicKeyOf(key);
        signature = Files.write(directory.resolve("run.json.sig"), ReportSigner.load(key, null).sign(report));
        authority = directory.resolve("tsa.pem");
    }

    private SignatureCheck.Result stampedBy(Instant clock, Instant notBefore, Instant notAfter, ASN1ObjectIdentifier digest,
            String signedWith) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(256);
        KeyPair pair = generator.generateKeyPair();
        X500Name name = new X500Name("CN=Clock");
        X509CertificateHolder certificate = new JcaX509v3CertificateBuilder(name, BigInteger.ONE, Date.from(notBefore),
                Date.from(notAfter), name, pair.getPublic())
                .addExtension(Extension.extendedKeyUsage, true, new ExtendedKeyUsage(KeyPurposeId.id_kp_timeStamping))
                .build(new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate()));
        try (StringWriter text = new StringWriter(); JcaPEMWriter pem = new JcaPEMWriter(text)) {
            pem.writeObject(certificate);
            pem.flush();
            Files.writeString(authority, text.toString());
        }
        DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().build();
        TimeStampTokenGenerator stamps = new TimeStampTokenGenerator(new JcaSimpleSignerInfoGeneratorBuilder()
                .build(signedWith, pair.getPrivate(), certificate), digests.get(
                new AlgorithmIdentifier(TSPAlgorithms.SHA256)), new ASN1ObjectIdentifier("1.2.3"));
        stamps.addCertificates(new CollectionStore<>(List.of(certificate)));
        byte[] imprint = MessageDigest.getInstance(digest.getId(), Crypto.bouncyCastle()).digest(Files.readAllBytes(signature));
        TimeStampRequestGenerator requests = new TimeStampRequestGenerator();
        requests.setCertReq(true);
        TimeStampRequest request = requests.generate(digest, imprint);
        Path stamp = Files.write(directory.resolve("run.json.tsr"),
                stamps.generate(request, BigInteger.TWO, Date.from(clock)).getEncoded());
        try (ReportContent content = ReportContent.open(report)) {
            return SignatureCheck.run(report, content, signature, new SignatureCheck.Trusted(publicKey, null, authority), stamp);
        }
    }

    private static void assertFound(Finding finding, String says, SignatureCheck.Result result) {
        assertEquals(finding, result.finding(), result.toString());
        assertTrue(result.sentences().toString().contains(says), result.toString());
    }

    @Test
    void aStampOfTodayIsGood() throws Exception {
        SignatureCheck.Result result = stampedBy(NOW, NOW.minus(YEAR), NOW.plus(YEAR), TSPAlgorithms.SHA256, "SHA256withECDSA");
        assertFound(Finding.GOOD, "the time stamp is good", result);
        assertTrue(result.sentences().stream().noneMatch(sentence -> sentence.contains("expired")), result.toString());
    }

    @Test
    void aTimeThatIsStillToComeIsNone() throws Exception {
        assertFound(Finding.TIME_STAMP_WRONG, "still to come", stampedBy(NOW.plus(Duration.ofHours(1)), NOW.minus(YEAR),
                NOW.plus(YEAR), TSPAlgorithms.SHA256, "SHA256withECDSA"));
    }

    @Test
    void anAuthorityThatHasExpiredSinceIsToldOf() throws Exception {
        assertFound(Finding.GOOD, "has expired on", stampedBy(NOW.minus(YEAR), NOW.minus(YEAR.multipliedBy(2)),
                NOW.minus(Duration.ofDays(1)), TSPAlgorithms.SHA256, "SHA256withECDSA"));
        assertFound(Finding.TIME_STAMP_WRONG, "not valid when", stampedBy(NOW, NOW.minus(YEAR.multipliedBy(2)),
                NOW.minus(Duration.ofDays(1)), TSPAlgorithms.SHA256, "SHA256withECDSA"));
    }

    @Test
    void digestsOfWhichTwoDocumentsCanBeMadeDoNotBind() throws Exception {
        assertFound(Finding.TIME_STAMP_WRONG, "made with SHA1", stampedBy(NOW, NOW.minus(YEAR), NOW.plus(YEAR),
                TSPAlgorithms.SHA1, "SHA256withECDSA"));
        assertFound(Finding.TIME_STAMP_WRONG, "made with SHA1", stampedBy(NOW, NOW.minus(YEAR), NOW.plus(YEAR),
                TSPAlgorithms.SHA256, "SHA1withECDSA"));
    }
}
