package io.lacuna.engine.proof;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.bouncycastle.math.ec.rfc8032.Ed25519;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against Bouncy Castle, which signs and verifies what is in memory. */
class StreamedEd25519Test {

    @TempDir
    Path directory;

    private ReportContent content(byte[] message) throws IOException {
        return ReportContent.open(Files.write(directory.resolve("message"), message));
    }

    private static byte[] publicKey(byte[] seed) {
        byte[] key = new byte[Ed25519.PUBLIC_KEY_SIZE];
        Ed25519.generatePublicKey(seed, 0, key, 0);
        return key;
    }

    private static byte[] randomBytes(Random random, int size) {
        byte[] bytes = new byte[size];
        random.nextBytes(bytes);
        return bytes;
    }

    /** RFC 8032, section 7.1. */
    @ParameterizedTest
    @CsvSource({
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60,"
            + "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a,'',"
            + "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7,"
            + "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025,af82,"
            + "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3"
            + "ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"})
    void signsTheExamplesOfTheStandard(String seed, String key, String message, String signature) throws IOException {
        HexFormat hex = HexFormat.of();
        try (ReportContent content = content(hex.parseHex(message))) {
            byte[] signed = StreamedEd25519.sign(hex.parseHex(seed), hex.parseHex(key), content);
            assertEquals(signature, hex.formatHex(signed));
            assertTrue(StreamedEd25519.verifies(hex.parseHex(key), content, hex.parseHex(signature)));
        }
    }

    @Test
    void signsAndVerifiesAsOthersDo() throws IOException {
        Random random = new Random(20261127);
        for (int round = 0; round < 40; round++) {
            byte[] seed = randomBytes(random, Ed25519.SECRET_KEY_SIZE);
            byte[] key = publicKey(seed);
            byte[] message = randomBytes(random, random.nextInt(200_000));
            byte[] signature = new byte[Ed25519.SIGNATURE_SIZE];
            Ed25519.sign(seed, 0, message, 0, message.length, signature, 0);
            try (ReportContent content = content(message)) {
                assertArrayEquals(signature, StreamedEd25519.sign(seed, key, content), "round " + round);
                assertTrue(StreamedEd25519.verifies(key, content, signature), "round " + round);
                for (int i = 0; i < 4; i++) {
                    byte[] wrong = signature.clone();
                    wrong[random.nextInt(wrong.length)] ^= (byte) (1 << random.nextInt(8));
                    assertFalse(StreamedEd25519.verifies(key, content, wrong), "round " + round);
                }
                byte[] other = key.clone();
                other[random.nextInt(other.length)] ^= (byte) (1 << random.nextInt(8));
                assertFalse(StreamedEd25519.verifies(other, content, signature), "round " + round);
            }
            message[message.length / 2] ^= 1;
            try (ReportContent content = content(message)) {
                assertFalse(StreamedEd25519.verifies(key, content, signature), "round " + round);
            }
        }
    }

    /** The same answer in other numbers, and keys that are no points: section 5.1.7. */
    @Test
    void aSignatureHasOneForm() throws IOException {
        byte[] seed = new byte[Ed25519.SECRET_KEY_SIZE];
        byte[] key = publicKey(seed);
        try (ReportContent content = content(new byte[] {1, 2, 3})) {
            byte[] signature = StreamedEd25519.sign(seed, key, content);
            BigInteger answer = EdwardsPoint.number(Arrays.copyOfRange(signature, 32, 64));
            byte[] larger = Arrays.copyOf(signature, 64);
            System.arraycopy(EdwardsPoint.littleEndian(answer.add(EdwardsPoint.ORDER)), 0, larger, 32, 32);
            assertFalse(StreamedEd25519.verifies(key, content, larger));
            byte[] noPoint = new byte[32];
            noPoint[0] = 2;
            assertFalse(Ed25519.validatePublicKeyPartial(noPoint, 0));
            assertFalse(StreamedEd25519.verifies(noPoint, content, signature));
            byte[] tooLarge = new byte[32];
            Arrays.fill(tooLarge, (byte) 0xFF);
            assertFalse(StreamedEd25519.verifies(tooLarge, content, signature));
        }
    }

    /** Two signatures with one secret number and two digests would tell the key. */
    @Test
    void whatIsWrittenToMeanwhileIsNeverSignedNorVerified() throws IOException {
        byte[] seed = new byte[Ed25519.SECRET_KEY_SIZE];
        byte[] message = randomBytes(new Random(1), 300_000);
        try (ReportContent content = content(message)) {
            byte[] signature = StreamedEd25519.sign(seed, publicKey(seed), content);
            try (RandomAccessFile file = new RandomAccessFile(directory.resolve("message").toFile(), "rw")) {
                file.seek(299_999);
                file.write(message[299_999] ^ 1);
            }
            assertThrows(IOException.class, () -> StreamedEd25519.sign(seed, publicKey(seed), content));
            assertThrows(IOException.class, () -> StreamedEd25519.verifies(publicKey(seed), content, signature));
            InputStream left = content.stream();
            assertEquals(message[0] & 0xFF, left.read());
            assertThrows(IOException.class, left::close, "what follows counts, too");
            Files.write(directory.resolve("message"), Arrays.copyOf(message, 1000));
            assertThrows(IOException.class, () -> StreamedEd25519.verifies(publicKey(seed), content, signature));
        }
    }

    @Test
    void memoryDoesNotGrowWithTheReport() throws IOException {
        byte[] seed = new byte[Ed25519.SECRET_KEY_SIZE];
        Path large = directory.resolve("large");
        try (RandomAccessFile file = new RandomAccessFile(large.toFile(), "rw")) {
            file.setLength(96 << 20);
        }
        com.sun.management.ThreadMXBean threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (ReportContent content = ReportContent.open(large)) {
            long before = threads.getCurrentThreadAllocatedBytes();
            byte[] signature = StreamedEd25519.sign(seed, publicKey(seed), content);
            assertTrue(StreamedEd25519.verifies(publicKey(seed), content, signature));
            long allocated = threads.getCurrentThreadAllocatedBytes() - before;
            // All that the arithmetic ever made, most of it garbage at once.
            assertTrue(allocated < 48 << 20, allocated + " bytes");
        }
    }
}
