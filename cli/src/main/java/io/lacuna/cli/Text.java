package io.lacuna.cli;

/** Text that a guest, or a file name, had a hand in. */
final class Text {

    private Text() {
    }

    /** @return the text with everything that could steer a terminal shown as a question mark */
    static String printable(String text) {
        StringBuilder clean = null;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            boolean harmless = c >= ' ' && c < 0x7F || c >= 0xA0 && Character.getType(c) != Character.FORMAT;
            if (!harmless && clean == null) {
                clean = new StringBuilder(text.substring(0, i));
            }
            if (clean != null) {
                clean.append(harmless ? c : '?');
            }
        }
        return clean == null ? text : clean.toString();
    }
}
