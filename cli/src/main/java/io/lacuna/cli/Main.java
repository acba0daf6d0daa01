package io.lacuna.cli;

/** Entry point; replaced by the real one. */
public final class Main {
    private Main() {
    }

    public static void main(String[] arguments) {
        System.out.println("lacuna 0.1.0");
    }
}
