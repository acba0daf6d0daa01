package io.lacuna.engine.proof;

import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.Socket;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.security.cert.CertificateException;
import java.util.Collection;
import java.util.Date;
import java.util.Set;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.openssl.PEMException;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.tsp.TSPAlgorithms;
import org.bouncycastle.tsp.TSPException;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.util.Selector;

/**
 * A time stamp after RFC 3161 over the SHA-256 of a report's signature file: proof that the signature, and with it the report, was
 * there at that time.
 */
public final class TimeStamp {

    /** What the name of the response's file has behind that of the report. */
    public static final String SUFFIX = ".tsr";

    private static final Set<String> LOOPBACK = Set.of("127.0.0.1", "localhost", "[::1]");
    private static final int PATIENCE_MILLIS = 10_000;
    /** Ours, in bytes: far more than a response with its certificates takes. */
    private static final int MAX_RESPONSE = 1 << 20;

    private final TimeStampToken token;

    private TimeStamp(TimeStampToken token) {
        this.token = token;
    }

    /** @return whether the words name a responder, and not a file */
    public static boolean isUrl(String words) {
        return words.contains("://");
    }

    /**
     * @return the address of a responder on this machine
     * @throws IllegalArgumentException if it is any other, in a sentence for the user
     */
    public static URI responder(String url) {
        try {
            URI uri = new URI(url);
            if ("http".equals(uri.getScheme()) && uri.getHost() != null && LOOPBACK.contains(uri.getHost())
                    && uri.getUserInfo() == null) {
                return uri;
            }
        } catch (URISyntaxException e) {
            // As wrong as any other.
        }
        throw new IllegalArgumentException("'" + url + "' is not a time-stamp responder on this machine (http://127.0.0.1, "
                + "http://localhost or http://[::1]); for one elsewhere name a file, which receives the request");
    }

    /** @throws IOException if nobody answers there: better found out before an image is changed */
    public static void requireReachable(URI responder) throws IOException {
        int port = responder.getPort() < 0 ? 80 : responder.getPort();
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(InetAddress.getByName(responder.getHost()), port), PATIENCE_MILLIS);
        } catch (IOException e) {
            throw new IOException("the time-stamp responder " + responder + " does not answer: " + e.getMessage(), e);
        }
    }

    /** @return the request for a time stamp of a signature, in DER */
    public static byte[] request(byte[] signature) throws IOException {
        return newRequest(signature).getEncoded();
    }

    private static TimeStampRequest newRequest(byte[] signature) {
        TimeStampRequestGenerator generator = new TimeStampRequestGenerator();
        generator.setCertReq(true);
        return generator.generate(TSPAlgorithms.SHA256, MerkleTree.sha256().digest(signature),
                new BigInteger(Long.SIZE, new SecureRandom()));
    }

    /**
     * Has a signature stamped.
     *
     * @return the response, in DER
     * @throws IOException if there is none, or it does not fit the request
     */
    public static byte[] ask(URI responder, byte[] signature) throws IOException {
        TimeStampRequest request = newRequest(signature);
        URL url = responder.toURL();
        HttpURLConnection connection = (HttpURLConnection) url.openConnection(Proxy.NO_PROXY);
        try {
            connection.setConnectTimeout(PATIENCE_MILLIS);
            connection.setReadTimeout(PATIENCE_MILLIS);
            connection.setInstanceFollowRedirects(false);
            connection.setRequestMethod("POST");
            connection.setDoOutput(true);
            connection.setRequestProperty("Content-Type", "application/timestamp-query");
            byte[] query = request.getEncoded();
            connection.setFixedLengthStreamingMode(query.length);
            connection.getOutputStream().write(query);
            if (connection.getResponseCode() != HttpURLConnection.HTTP_OK) {
                throw new IOException("the responder answers with status " + connection.getResponseCode());
            }
            byte[] answer;
            try (InputStream in = connection.getInputStream()) {
                answer = in.readNBytes(MAX_RESPONSE);
            }
            TimeStampResponse response = new TimeStampResponse(answer);
            response.validate(request);
            if (response.getTimeStampToken() == null) {
                throw new IOException("the responder refuses: " + response.getStatusString());
            }
            return answer;
        } catch (TSPException | RuntimeException e) {
            // Unchecked where the answer is nothing that the library expects.
            throw new IOException("the responder's answer does not fit: " + e.getMessage(), e);
        } finally {
            connection.disconnect();
        }
    }

    /**
     * @param bytes a response, or a token alone, in DER
     * @throws IOException if it is neither
     */
    static TimeStamp read(byte[] bytes) throws IOException {
        try {
            TimeStampToken token = new TimeStampResponse(bytes).getTimeStampToken();
            if (token != null) {
                return new TimeStamp(token);
            }
            throw new IOException("the time-stamp authority refused");
        } catch (TSPException | IOException | RuntimeException noResponse) {
            try {
                return new TimeStamp(new TimeStampToken(new CMSSignedData(bytes)));
            } catch (TSPException | IOException | CMSException | RuntimeException e) {
                throw new IOException("neither a time-stamp response nor a token (RFC 3161)", e);
            }
        }
    }

    Date time() {
        return token.getTimeStampInfo().getGenTime();
    }

    /** @return the certificates that came with it, the authority's own first */
    Collection<X509CertificateHolder> certificates() {
        return token.getCertificates().getMatches(null);
    }

    /** @return the certificate of who stamped; null if it is not there */
    X509CertificateHolder authority() {
        Collection<X509CertificateHolder> own = token.getCertificates().getMatches(holderSelector());
        return own.isEmpty() ? null : own.iterator().next();
    }

    @SuppressWarnings("unchecked")
    private Selector<X509CertificateHolder> holderSelector() {
        return token.getSID();
    }

    /** @return why it is no stamp of this signature, in a sentence; null if it is one */
    String doubt(byte[] signature) {
        X509CertificateHolder authority = authority();
        if (authority == null) {
            return "it lacks the certificate of its authority; ask again with -cert (openssl ts -query -cert)";
        }
        try {
            String weak = weakness();
            if (weak != null) {
                return "it does not bind: it was made with " + weak;
            }
            String hash = token.getTimeStampInfo().getMessageImprintAlgOID().getId();
            byte[] stamped = MessageDigest.getInstance(hash, Crypto.bouncyCastle()).digest(signature);
            if (!MessageDigest.isEqual(stamped, token.getTimeStampInfo().getMessageImprintDigest())) {
                return "it belongs to another signature";
            }
            String unfit = CertificateUse.doubt(new JcaPEMKeyConverter().setProvider(Crypto.bouncyCastle())
                    .getPublicKey(authority.getSubjectPublicKeyInfo()));
            if (unfit != null) {
                return unfit;
            }
            token.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider(Crypto.bouncyCastle()).build(authority));
            return null;
        } catch (TSPException | OperatorCreationException | CertificateException | NoSuchAlgorithmException | PEMException e) {
            return String.valueOf(e.getMessage());
        }
    }

    /** @return the digest, of the signature or of the stamp itself, that does not bind any more; else null */
    private String weakness() {
        String imprint = CertificateUse.weakness(token.getTimeStampInfo().getMessageImprintAlgOID());
        return imprint != null ? imprint
                : CertificateUse.weakness(token.toCMSSignedData().getSignerInfos().getSigners().iterator().next());
    }
}
